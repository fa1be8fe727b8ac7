"""The vocabulary every layer shares, as frozen values: invariants only, no I/O, no rules."""
