"""Functions of whole tensors: the memory that they need beside their arguments and results."""

from __future__ import annotations

from .program import Program

WHOLE_SCRATCH = 4
"""Tensors of scratch that a function of whole tensors may use."""


def scratch_bytes(program: Program, index: int, shape: tuple[int, ...]) -> int:
    """Bytes that the function of a `whole` node allocates while it runs."""
    count = program.compute.itemsize
    for size in shape:
        count *= size
    return WHOLE_SCRATCH * count
