"""What the data can and cannot carry: the evidence for a graph, and a verdict on it in words."""
