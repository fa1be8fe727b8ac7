"""Text of unknown origin made safe: escaped, secrets taken out, files read within bounds and written whole."""
