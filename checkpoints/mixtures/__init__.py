"""Dense models -> a mixture of experts: the names of its tensors, its config, its gates."""
