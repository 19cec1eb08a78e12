"""Array types, compiled loops, counter-based random numbers, intervals."""
