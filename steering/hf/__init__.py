"""Steering on transformers: the hook worker, and the proof that it steered."""
