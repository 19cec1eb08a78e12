"""Best-order search (BOSS): orders of the values, and the graphs that they allow, by Gaussian BIC."""
