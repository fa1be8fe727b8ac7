"""What surrounds the program: systemd, the journal, worker processes, the service's installation."""
