"""Graphs of resampled roles, and how often each edge is in them."""
