"""A checkpoint's files -> its tensors, layers, config and small files; and the same for outputs."""
