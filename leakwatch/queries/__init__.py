"""What a command asks of a store or of this machine, as values a report can word."""
