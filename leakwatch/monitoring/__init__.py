"""What the daemon does: the detector, its jobs, and what they hand to store, log and service manager."""
