"""Finds how the values of a language model hang together, and what happens to the others when one is
steered."""
