"""A series as blocks and segments."""
