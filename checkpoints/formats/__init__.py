"""How a file says what is in it: an open file -> its tensors."""
