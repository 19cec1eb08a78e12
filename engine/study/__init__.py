"""The study file and what it names: questionnaires, roles, conditions, splits."""
