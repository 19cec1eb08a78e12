"""The procedures of Kang et al. (2025), and the replication of their tables."""
