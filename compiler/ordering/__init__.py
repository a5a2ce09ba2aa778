"""Ordering the steps of a graph for the least peak memory, one idea a file."""
