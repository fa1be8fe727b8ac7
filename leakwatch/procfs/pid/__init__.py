"""Parsers of the files below /proc/PID, one a file."""
