"""Measured windows against thresholds: tests, evidence, verdict."""
