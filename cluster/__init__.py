"""Where the work runs: the executor seam, the pipeline of one run, and the command line."""
