"""Samples, blocks and findings as bytes, and back."""
