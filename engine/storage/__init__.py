"""Files that are complete or absent, on a disk or in an object store, and who may write to them."""
