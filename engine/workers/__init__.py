"""What every worker shares: the seam, models, the machine, generation, spellings."""
