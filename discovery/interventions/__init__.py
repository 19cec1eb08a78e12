"""Steering as experiments: graphs from baseline profiles and measured effects together, and how well they
predict."""
