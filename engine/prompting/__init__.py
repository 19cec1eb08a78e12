"""From role, hint and question to token ids with a span."""
