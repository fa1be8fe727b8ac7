"""Tells growth without bound from everything else; pure functions of arrays and frozen values."""
