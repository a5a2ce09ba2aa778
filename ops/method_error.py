"""What a merge method can object to."""

from __future__ import annotations


class MethodError(ValueError):
    """A call that a method can't compute, such as weights that sum to 0 and must be normalised."""
