"""Adapters of models: what is stored as two thin factors, or replaces a tensor."""
