"""Causal graphs between values, how sure each edge is, and what a condition changed against them."""
