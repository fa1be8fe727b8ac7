"""The shell around the program: parse arguments, call, print, exit code."""
