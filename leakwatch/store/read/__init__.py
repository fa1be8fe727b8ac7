"""What commands and a restarting daemon read from a store."""
