"""What steering changed, held against a graph: expected, possible, unexpected."""
