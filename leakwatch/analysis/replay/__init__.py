"""Captured series through the detector, as it would have happened live."""
