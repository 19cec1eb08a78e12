"""The stages of a run, each of which reads the artefacts of those before it."""
