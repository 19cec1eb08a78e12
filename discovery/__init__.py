"""Graphs of values with a frequency on every edge, effects of steering, comparisons, the guide."""
