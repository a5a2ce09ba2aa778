"""Primitives of a component -> Sweeps: how often the data must be walked, and what each walk does.

A program is the flat list of primitives behind one or more output tensors of one shape. Everything
that needs a reduction's result must wait for a later walk over the data, so each primitive has a
level: that of its arguments, plus one behind a reduction, plus one per look behind a selection. A
sweep computes, element by element, just what its own reductions, looks and outputs need:

    slerp    sweep 0: a·a, a·b, b·b                 sweep 1: coefficients -> output
    ties     sweep 0: histograms of |δ|             sweep 1: a closer look inside one bin
             sweep 2: ranks among equals, if any    sweep 3: output

A value that is held (or spilled) is stored by the sweep of its own level and read by later ones,
instead of being computed again. A function of rows splits a sweep's work on a tile in segments
around it; a function of whole tensors runs between sweeps, on values that are held for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from ..ops.dtypes import DType, float64
from ..ops.primitives import TABLE, Kind, Trait
from ..ops.symbols import Node

ELEMENT_KINDS = (Kind.TENSOR, Kind.MASK)
DIGIT_BITS = 16
"""A look counts this many bits of a magnitude at once."""


@dataclass(frozen=True)
class Program:
    """Primitives in order, arguments first.

    Leaves: `input` (attr: its slot), `param` (attr: its place in the parameter vector), `const`,
    `numel`; a `bernoulli`'s attr is its place in the key vector. inputs: dtype of each slot.
    outputs: the node that each output stores and the dtype that it is rounded to. held: nodes that
    are stored once and read back. compute: dtype of the elementwise arithmetic.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[DType, ...]
    outputs: tuple[tuple[int, DType], ...]
    held: tuple[int, ...]
    compute: DType

    @cached_property
    def rowwise(self) -> bool:
        """Whether tiles must be whole rows."""
        return any(TABLE[node.name].trait is Trait.ROWWISE for node in self.nodes)


@dataclass(frozen=True)
class Look:
    """One step of an exact selection among magnitudes' bit patterns.

    digit: which digit of the pattern is counted, 0 the highest; the last step ranks equals.
    """

    selection: int
    digit: int
    ranks: bool


@dataclass(frozen=True)
class Segment:
    """One kernel call on each tile of a sweep.

    elements: nodes computed per element, in order. reads: input slots. fetches: values read back:
    held ones, and those that row functions gave for this tile. scalars: scalar nodes that elements
    use. sums: reduction nodes. looks: steps of selections. writes: output numbers. stores: values
    put aside: those to be held, and the arguments of row functions. rows: the row functions to call
    on the tile afterwards.
    """

    elements: tuple[int, ...]
    reads: tuple[int, ...]
    fetches: tuple[int, ...]
    scalars: tuple[int, ...]
    sums: tuple[int, ...]
    looks: tuple[Look, ...]
    writes: tuple[int, ...]
    stores: tuple[int, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Sweep:
    """One walk over the data; it needs the results of all sweeps of lower levels.

    segments: what is done to each tile, in order; more than one only around row functions. held:
    values that it stores whole. wholes: functions of whole tensors to call when it is through.
    """

    level: int
    segments: tuple[Segment, ...]
    held: tuple[int, ...]
    wholes: tuple[int, ...]

    @property
    def reads(self) -> tuple[int, ...]:
        """Input slots, each once."""
        return tuple(sorted({slot for segment in self.segments for slot in segment.reads}))

    @property
    def looks(self) -> tuple[Look, ...]:
        return tuple(look for segment in self.segments for look in segment.looks)

    @property
    def only_ranks(self) -> bool:
        """Whether the sweep does nothing but rank equals, which is seldom needed."""
        busy = any(s.sums or s.writes or s.stores for s in self.segments)
        return not busy and not self.wholes and all(look.ranks for look in self.looks)


def digits(compute: DType) -> int:
    """How many looks find an exact magnitude: its bits without the sign, DIGIT_BITS at a time."""
    return -(-(compute.itemsize * 8 - 1) // DIGIT_BITS)


def digit_shift(compute: DType, digit: int) -> int:
    """How far a magnitude's bits are shifted right so that the digit is lowest."""
    return max(0, compute.itemsize * 8 - 1 - DIGIT_BITS * (digit + 1))


def digit_width(compute: DType, digit: int) -> int:
    """The number of bits of a digit: the last one has what is left."""
    return min(DIGIT_BITS, compute.itemsize * 8 - 1 - DIGIT_BITS * digit)


def levels(program: Program) -> list[int]:
    """For each node the first sweep that can compute it."""
    result: list[int] = []
    for node in program.nodes:
        known = [_available(program, result, arg, node) for arg in node.args]
        if TABLE[node.name].trait is Trait.SELECTION:
            known[1] -= 1  # how many to keep need only be known when the first look is through
        result.append(max(known, default=0))
    return result


def _available(program: Program, level: Sequence[int], arg: int, user: Node) -> int:
    """The first sweep that a node's value can be used in."""
    trait = TABLE[program.nodes[arg].name].trait
    if trait is Trait.SELECTION:
        ranked = user.kind is Kind.MASK  # a mask needs to know which equals are kept
        return level[arg] + digits(program.compute) + ranked
    late = trait is Trait.REDUCTION or program.nodes[arg].name == "whole"
    return level[arg] + late


def sweeps(program: Program) -> tuple[Sweep, ...]:
    """The program's walks over the data, in order; a sweep with nothing to do is left out."""
    level = levels(program)
    needed = _needed(program)
    last = max((level[node] for node, _ in program.outputs), default=0)
    found = (_sweep(program, level, needed, number) for number in range(last + 1))
    return tuple(sweep for sweep in found if sweep.segments)


def _needed(program: Program) -> set[int]:
    """The nodes that some output depends on."""
    needed: set[int] = set()
    stack = [node for node, _ in program.outputs]
    while stack:
        index = stack.pop()
        if index not in needed:
            needed.add(index)
            stack.extend(program.nodes[index].args)
    return needed


def _sweep(program: Program, level: Sequence[int], needed: set[int], number: int) -> Sweep:
    nodes = program.nodes
    steps = digits(program.compute)
    traits = {i: TABLE[nodes[i].name].trait for i in sorted(needed)}
    sums = [i for i, t in traits.items() if t is Trait.REDUCTION and level[i] == number]
    looks = [
        Look(i, number - level[i], number - level[i] == steps)
        for i, t in traits.items()
        if t is Trait.SELECTION and 0 <= number - level[i] <= steps
    ]
    writes = [i for i, (node, _) in enumerate(program.outputs) if level[node] == number]
    wholes = [i for i in traits if nodes[i].name == "whole" and level[i] == number]
    held = {i for i in program.held if level[i] == number}
    held |= {i for whole in wholes for i in nodes[whole].args if nodes[i].kind in ELEMENT_KINDS}
    jobs: list[_Job] = [_Job("sums", i, nodes[i].args) for i in sums]
    jobs += [_Job("looks", look, nodes[look.selection].args[:1]) for look in looks]
    jobs += [_Job("writes", i, (program.outputs[i][0],)) for i in writes]
    jobs += [_Job("stores", i, (i,)) for i in sorted(held)]
    done = {i for i in program.held if level[i] < number}
    done |= {i for i in traits if nodes[i].name == "whole_item"}
    segments = _segments(program, jobs, done)
    return Sweep(number, segments, tuple(sorted(held)), tuple(wholes))


class _Job(NamedTuple):
    """A reason to compute values in a sweep: a field of Segment, its entry, the values' nodes."""

    field: str
    entry: Any
    wanted: tuple[int, ...]


def _segments(program: Program, jobs: Sequence[_Job], done: set[int]) -> tuple[Segment, ...]:
    """A sweep's kernel calls: a value behind n row functions is computed in segment n."""
    nodes = program.nodes
    if not jobs:
        return ()
    elements, _ = _closure(nodes, [i for job in jobs for i in job.wanted], done)
    depth: dict[int, int] = {}
    functions: dict[int, int] = {}
    for index in elements:
        if index in done:
            depth[index] = 0
        elif nodes[index].name == "rows_item":
            bundle = nodes[index].args[0]
            functions[bundle] = max((depth.get(i, 0) for i in nodes[bundle].args), default=0)
            depth[index] = functions[bundle] + 1
        else:
            depth[index] = max((depth.get(i, 0) for i in nodes[index].args), default=0)
    stop = done | {i for i in elements if nodes[i].name == "rows_item"}
    found = []
    for number in range(max(depth.values(), default=0) + 1):
        here = [job for job in jobs if max(depth.get(i, 0) for i in job.wanted) == number]
        rows = tuple(i for i, at in functions.items() if at == number)
        found.append(_segment(program, here, rows, stop))
    return tuple(found)


def _segment(
    program: Program, jobs: Sequence[_Job], rows: tuple[int, ...], stop: set[int]
) -> Segment:
    nodes = program.nodes
    entries: dict[str, list[Any]] = {"sums": [], "looks": [], "writes": [], "stores": []}
    for job in jobs:
        entries[job.field].append(job.entry)
    arguments = {i for row in rows for i in nodes[row].args if nodes[i].kind in ELEMENT_KINDS}
    wanted = [i for job in jobs for i in job.wanted] + sorted(arguments)
    elements, scalars = _closure(nodes, wanted, stop)
    return Segment(
        elements=tuple(i for i in elements if i not in stop and nodes[i].name != "input"),
        reads=tuple(
            int(nodes[i].attr[0]) for i in elements if nodes[i].name == "input" and i not in stop
        ),
        fetches=tuple(i for i in elements if i in stop),
        scalars=scalars,
        sums=tuple(entries["sums"]),
        looks=tuple(entries["looks"]),
        writes=tuple(entries["writes"]),
        stores=tuple(sorted({*entries["stores"], *arguments})),
        rows=rows,
    )


def _closure(
    nodes: Sequence[Node], wanted: Iterable[int], stop: set[int]
) -> tuple[list[int], tuple[int, ...]]:
    """(elements, scalars) that the wanted nodes need, in order, not looking behind `stop`."""
    seen: set[int] = set()
    scalars: set[int] = set()
    stack = list(wanted)
    while stack:
        index = stack.pop()
        if nodes[index].kind in (Kind.SCALAR, Kind.FLAG):
            scalars.add(index)
        elif nodes[index].kind is Kind.BUNDLE:
            stack.extend(nodes[index].args)
        elif nodes[index].kind is not Kind.SELECTION and index not in seen:
            seen.add(index)
            if index not in stop:
                stack.extend(nodes[index].args)
    return sorted(seen), tuple(sorted(scalars))


def magnitude_words(compute: DType) -> str:
    """The unsigned integer that holds a magnitude's bits."""
    return "uint64" if compute == float64 else "uint32"
