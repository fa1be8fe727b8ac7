"""Readers of control groups' files, versions 1 and 2."""
