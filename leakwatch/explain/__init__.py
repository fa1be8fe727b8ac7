"""Says in sentences what was measured of one series, why its verdict is what it is, and what would change it."""
