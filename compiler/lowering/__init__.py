"""Bound -> Graph: one node per tensor operation."""
