"""The matrix that a search works on, and corrections for what it lacks."""
