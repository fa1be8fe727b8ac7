"""Windows cut from blocks, and what is measured in them."""
