"""The forms in which item files come: CSV and YAML, every fault named by file and line."""
