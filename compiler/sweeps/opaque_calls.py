"""Functions of whole tensors: the memory that they need beside their arguments and results."""

from __future__ import annotations

from math import prod

from ...ops.named import named_function
from ...ops.primitives import Role, ValueKind
from ..graph.graph import Invocation
from .program import ELEMENT_KINDS, Program, Sweep

WHOLE_SCRATCH = 4
"""Tensors of scratch that a function of whole tensors may use if it doesn't say."""


def scratch_bytes(program: Program, index: int, shape: tuple[int, ...]) -> int:
    """Bytes that the function of a `whole` node allocates while it runs: see `ops.whole`."""
    node = program.nodes[index]
    scratch = getattr(named_function(str(node.attr[0])), "scratch", None)
    if scratch is None:
        return WHOLE_SCRATCH * program.compute.itemsize * prod(shape)
    tensors = (*ELEMENT_KINDS, ValueKind.WHOLE)
    found: int = scratch(shape, sum(program.nodes[i].kind in tensors for i in node.args))
    return found


def whole_slots(program: Program, sweep: Sweep) -> list[int]:
    """Input slots that the functions behind a sweep read whole, in a shape of their own."""
    arguments = [program.nodes[i] for whole in sweep.wholes for i in program.nodes[whole].args]
    return [int(node.attr[0]) for node in arguments if node.kind is ValueKind.WHOLE]


def needs_whole(invocation: Invocation) -> bool:
    """Whether a function of whole tensors is part of a method, as it is called."""
    return any(node.role is Role.OPAQUE_FUNCTION for node in invocation.trace.nodes)
