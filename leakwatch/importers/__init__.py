"""Series from elsewhere than live sampling: files and stored history, judged by the same code as live ones."""
