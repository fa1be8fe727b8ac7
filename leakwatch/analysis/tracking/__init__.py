"""What is remembered of one series from checkpoint to checkpoint."""
