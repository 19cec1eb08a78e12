"""Every search by its name: PC and those of causal-learn."""
