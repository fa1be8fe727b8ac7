"""Incidents as rows, and what people note of them."""
