"""Two graphs, or two runs, held beside each other."""
