"""What belongs together: services, containers, control groups and their owners."""
