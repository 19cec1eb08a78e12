"""The PC algorithm as a compiled kernel, and the same by causal-learn."""
