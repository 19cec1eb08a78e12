"""Before a sweep: whether the model answers the questionnaire, by a pilot of a few hundred requests."""
