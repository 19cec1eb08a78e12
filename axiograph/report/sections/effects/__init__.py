"""Side effects: over all conditions, by condition, by the value that changed, between roles."""
