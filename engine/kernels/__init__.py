"""Compiled loops for transformers on the CPU: attention, steps, matrix products."""
