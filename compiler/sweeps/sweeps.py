"""Units -> Sweeps: which pieces of work share a walk over the data.

    slerp    sweep 0: a·a, a·b, b·b                 sweep 1: coefficients -> output
    ties     sweep 0: counts of |δ|                 sweep 1: counts of |δ| near the cut, if need be
             sweep 2: output

A value that is held is stored by one sweep and read back by later ones. A function of rows splits a
sweep's work on a tile in segments around it; one of whole tensors runs when a sweep is through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ...ops.primitives import Role, ValueKind
from .program import ELEMENT_KINDS, POOL_BIN_BITS, Look, Program, Segment, Sweep
from .work_units import Duty, Unit, closure, depends_on_sums, units

Grouping = Sequence[Sequence[int]]
"""Units by number, a list a sweep."""


def sweeps(program: Program, held: Iterable[int] = ()) -> tuple[Sweep, ...]:
    """The fewest sweeps: every unit as early as it can be."""
    found = units(program, held)
    return build_sweeps(program, found, earliest(found))


def pool_sweep(program: Program, selections: Iterable[int], number: int) -> Sweep:
    """The walk that takes one look for selections whose cut is a whole model's."""
    duties = [
        Duty("looks", Look(i, number, POOL_BIN_BITS), program.nodes[i].args[:1]) for i in selections
    ]
    return Sweep(_segments(program, duties, set()), (), (), ())


def earliest(found: Sequence[Unit]) -> list[list[int]]:
    """Every unit in the first sweep that it can be in."""
    level: list[int] = []
    for unit in found:
        hard = max((level[i] + 1 for i in unit.before), default=0)
        level.append(max([hard, *(level[i] for i in unit.along)]))
    count = max(level, default=-1) + 1
    return [[i for i in range(len(found)) if level[i] == number] for number in range(count)]


def build_sweeps(program: Program, found: Sequence[Unit], grouping: Grouping) -> tuple[Sweep, ...]:
    """The sweeps of units that are grouped already."""
    items = {i for unit in found if unit.whole is not None for i in unit.gives}
    last_use: dict[int, int] = {}
    for number, group in enumerate(grouping):
        for i in group:
            last_use |= dict.fromkeys([*found[i].takes, *found[i].gives], number)
    freed: list[list[int]] = [[] for _ in grouping]
    for value, number in last_use.items():
        freed[number].append(value)
    done = set(items)
    checked: set[int] = set() if program.refuses_nonfinite else set(range(len(program.inputs)))
    result = []
    for number, group in enumerate(grouping):
        duties = [duty for i in group for duty in found[i].duties]
        held = tuple(sorted(duty.entry for duty in duties if duty.field == "stores"))
        sweep = Sweep(
            segments=_checking(_segments(program, duties, done), checked),
            held=held,
            wholes=tuple(w for i in group if (w := found[i].whole) is not None),
            frees=tuple(sorted(freed[number])),
        )
        result.append(replace(sweep, seldom=_is_seldom(program, sweep)))
        done.update(held)
    return tuple(result)


def _is_seldom(program: Program, sweep: Sweep) -> bool:
    """Whether nothing but closer looks are taken, which a sample has made needless.

    None is taken around functions of rows, or where how many are to be kept is counted meanwhile.
    """
    if not sweep.only_looks or len(sweep.segments) > 1:
        return False
    return all(
        look.number and not depends_on_sums(program, program.nodes[look.selection].args[1])
        for look in sweep.looks
    )


def _checking(segments: Sequence[Segment], checked: set[int]) -> tuple[Segment, ...]:
    """The segments, each checking the inputs that none before it has read."""
    found = []
    for segment in segments:
        new = tuple(slot for slot in segment.reads if slot not in checked)
        checked.update(new)
        found.append(replace(segment, checks=new))
    return tuple(found)


def _segments(program: Program, duties: Sequence[Duty], done: set[int]) -> tuple[Segment, ...]:
    """A sweep's kernel calls: a value behind n row functions is computed in segment n."""
    nodes = program.nodes
    if not duties:
        return ()
    elements, _ = closure(nodes, [i for duty in duties for i in duty.wanted], done)
    depth: dict[int, int] = {}
    functions: dict[int, int] = {}
    for index in elements:
        if index not in done and nodes[index].role is Role.ROW_ITEM:
            bundle = nodes[index].args[0]
            functions[bundle] = max((depth.get(i, 0) for i in nodes[bundle].args), default=0)
            depth[index] = functions[bundle] + 1
        else:
            behind = () if index in done else nodes[index].args
            depth[index] = max((depth.get(i, 0) for i in behind), default=0)
    stop = done | {i for i in elements if nodes[i].role is Role.ROW_ITEM}
    found = []
    for number in range(max(depth.values(), default=0) + 1):
        here = [duty for duty in duties if max(depth.get(i, 0) for i in duty.wanted) == number]
        rows = tuple(i for i, at in functions.items() if at == number)
        found.append(_segment(program, here, rows, stop))
    return tuple(found)


def _segment(
    program: Program, duties: Sequence[Duty], rows: tuple[int, ...], stop: set[int]
) -> Segment:
    nodes = program.nodes
    entries: dict[str, list[Any]] = {"sums": [], "looks": [], "writes": [], "stores": []}
    for duty in duties:
        entries[duty.field].append(duty.entry)
    arguments = {i for row in rows for i in nodes[row].args if nodes[i].kind in ELEMENT_KINDS}
    wanted = [i for duty in duties for i in duty.wanted] + sorted(arguments)
    elements, scalars = closure(nodes, wanted, stop)
    return Segment(
        elements=tuple(i for i in elements if i not in stop and nodes[i].role is not Role.INPUT),
        reads=tuple(
            int(nodes[i].attr[0]) for i in elements if nodes[i].role is Role.INPUT and i not in stop
        ),
        fetches=tuple(i for i in elements if i in stop),
        scalars=tuple(i for i in scalars if nodes[i].kind in (ValueKind.SCALAR, ValueKind.FLAG)),
        sums=tuple(entries["sums"]),
        looks=tuple(entries["looks"]),
        writes=tuple(entries["writes"]),
        stores=tuple(sorted({*entries["stores"], *arguments})),
        rows=rows,
    )
