"""Template -> keepings: for each value that several sweeps need, to hold, spill or recompute it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...ops.primitives import Role, ValueKind
from ..sweeps.components import Template
from ..sweeps.program import ELEMENT_KINDS, Program
from ..sweeps.sweeps import earliest
from ..sweeps.work_units import Behind, units

MOST_CHOICES = 3
"""Values whose every combination of choices is tried."""

MOST_ALONE = 8
"""With more values all are treated alike, but for one; this many are tried as that one."""

MOST_AGAIN = 48
"""With more values than these to compute again, that isn't tried: a tower's work would grow with
the square of its height."""


class Keeping(NamedTuple):
    """Values that are kept between sweeps, and those of them that a file keeps."""

    held: tuple[int, ...]
    spilled: frozenset[int]


def keepings(worth: tuple[int, ...]) -> Iterator[Keeping]:
    """Every choice that is to be tried for values worth holding; first, if at all, to hold none."""
    ways = ("again", "hold", "spill") if len(worth) <= MOST_AGAIN else ("hold", "spill")
    combinations: Iterable[tuple[str, ...]]
    if len(worth) <= MOST_CHOICES:
        combinations = itertools.product(ways, repeat=len(worth))
    else:
        alike = {way: (way,) * len(worth) for way in ways}
        alone = [
            (*alike[around][:i], way, *alike[around][i + 1 :])
            for around, way in (("again", "hold"), ("hold", "spill"))
            if around in alike
            for i in range(min(len(worth), MOST_ALONE))
        ]
        combinations = dict.fromkeys([*alike.values(), *alone])
    for combination in combinations:
        kept = [(v, way) for v, way in zip(worth, combination, strict=True) if way != "again"]
        yield Keeping(tuple(v for v, _ in kept), frozenset(v for v, way in kept if way == "spill"))


def worth_holding(template: Template) -> tuple[int, ...]:
    """Values of graph nodes that more than one sweep computes, from more bytes than they have."""
    program = template.program
    sweeps = _computing(program)
    slots = Behind(program, frozenset()).slots
    kept = {node for node, _ in program.outputs}
    for node in program.nodes:
        if node.role in (Role.OPAQUE_FUNCTION, Role.OPAQUE_ITEM):
            kept.update(node.args)  # held anyway

    def is_worth(value: int) -> bool:
        several = sweeps[value] & (sweeps[value] - 1)  # more than one bit
        if not several or value in kept or program.nodes[value].kind not in ELEMENT_KINDS:
            return False
        inputs = (dtype for slot, dtype in enumerate(program.inputs) if slots[value] >> slot & 1)
        return sum(dtype.itemsize for dtype in inputs) > program.compute.itemsize

    return tuple(dict.fromkeys(value for _, _, value in template.values if is_worth(value)))


def _computing(program: Program) -> list[int]:
    """For each node the sweeps that compute it where nothing is held, as a set of bits."""
    found = units(program, ())
    sweeps = [0] * len(program.nodes)
    for number, group in enumerate(earliest(found)):
        for unit in group:
            for duty in found[unit].duties:
                for value in duty.wanted:
                    sweeps[value] |= 1 << number
    for index in range(len(program.nodes) - 1, -1, -1):
        if sweeps[index]:
            for i in program.nodes[index].args:
                if program.nodes[i].kind in (*ELEMENT_KINDS, ValueKind.BUNDLE):
                    sweeps[i] |= sweeps[index]
    return sweeps
