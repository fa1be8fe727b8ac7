"""What to do next about what grows: which program it is inside, and the exact commands that name the leaking place."""
