"""Workers, bootstrap and jobs on a Ray cluster."""
