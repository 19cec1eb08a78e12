"""What a run leaves on disk: its directory, its response store, and what is still pending."""
