"""What would be asked: the inputs of a study, and one row per request with its id."""
