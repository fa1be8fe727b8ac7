"""Processes' memory and counts, as samples: a cheap read of all, a full read of those that need one."""
