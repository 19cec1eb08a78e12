"""What a search is asked and gives, and PC: as a compiled kernel, and by causal-learn."""
