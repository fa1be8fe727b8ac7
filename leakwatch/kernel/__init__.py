"""Pure knowledge of the kernel's memory: the account of RAM, and which slab caches give memory back."""
