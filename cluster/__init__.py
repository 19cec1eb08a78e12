"""Where a study runs: in this process or on Ray; its stages from sampling to effects."""
