"""Public forms of inventories, read into the own YAML form of item files: one file per family of forms."""
