"""Directions made from contrasted prompts on a study's own model."""
