"""What is added, clamped or projected: operations with their vectors, SAEs, controls."""
