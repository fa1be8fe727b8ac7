"""What is kept of a leak for whoever looks into it: a bundle of what the machine showed when it was confirmed."""
