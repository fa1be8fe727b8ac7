"""What keeps a store sound and small: sealing, retention, backup, checks, migration."""
