"""Directions, steering operations and spans, the workers that steer, and the proof that they did."""
