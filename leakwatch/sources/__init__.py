"""Series from elsewhere than live sampling: files, stored history. All become ``Capture``s, judged by the same code."""
