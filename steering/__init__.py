"""Directions, steering operations and spans, the worker that steers, and the proof that it did."""
