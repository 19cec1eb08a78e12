"""Causal graphs: marks, knowledge, ancestors, files, figures."""
