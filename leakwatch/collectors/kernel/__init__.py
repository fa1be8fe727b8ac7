"""The kernel's own memory, System V IPC and files in tmpfs, as samples."""
