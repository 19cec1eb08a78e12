"""Proposals for steering from a run, and their validation by new roles."""
