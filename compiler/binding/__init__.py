"""Recipe -> Bound: names, kinds and parameters resolved, checkpoints opened."""
