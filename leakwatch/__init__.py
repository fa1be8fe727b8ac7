"""leakwatch watches memory for days and tells which process, service or kernel cache leaks."""

__version__ = "0.1.0"
