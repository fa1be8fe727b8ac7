"""A leak to watch: real processes and real kernel objects that do and do not leak, for ``leakwatch demo``."""
