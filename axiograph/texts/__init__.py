"""What is printed: plain text that can be pasted into a log or a notebook."""
