"""Steering inside vLLM, and the proof that it steered."""
