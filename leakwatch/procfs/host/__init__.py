"""Parsers of the files of /proc and /sys about the whole machine, one a file."""
