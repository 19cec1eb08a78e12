"""From answers to numbers: scores, profiles, rates, reliability."""
