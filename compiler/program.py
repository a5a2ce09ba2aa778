"""Primitives of a component -> Sweeps: how often the data must be walked, and what each walk does.

A program is the flat list of primitives behind one or more output tensors of one shape. Everything
that needs a reduction's result must wait for a later walk over the data, so each primitive has a
level: that of its arguments, plus one behind a reduction, plus one per look behind a selection. A
sweep computes, element by element, just what its own reductions, looks and outputs need:

    slerp    sweep 0: a·a, a·b, b·b                 sweep 1: coefficients -> output
    ties     sweep 0: histograms of |δ|             sweep 1: a closer look inside one bin
             sweep 2: ranks among equals, if any    sweep 3: output

A value that is held (or spilled) is stored by the sweep of its own level and read by later ones,
instead of being computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Look:
    """One step of an exact selection among magnitudes' bit patterns.

    digit: which digit of the pattern is counted, 0 the highest; the last step ranks equals.
    """

    selection: int
    digit: int
    ranks: bool


@dataclass(frozen=True)
class Sweep:
    """One walk over the data; `level`: it needs the results of all sweeps of lower levels.

    elements: nodes computed per element, in order. reads: input slots. fetches: held values read
    back. scalars: scalar nodes that elements use. sums: reduction nodes. looks: steps of
    selections. writes: output numbers. stores: held values computed here.
    """

    level: int
    elements: tuple[int, ...]
    reads: tuple[int, ...]
    fetches: tuple[int, ...]
    scalars: tuple[int, ...]
    sums: tuple[int, ...]
    looks: tuple[Look, ...]
    writes: tuple[int, ...]
    stores: tuple[int, ...]

    @property
    def only_ranks(self) -> bool:
        """Whether the sweep does nothing but rank equals, which is seldom needed."""
        return not (self.sums or self.writes or self.stores) and all(x.ranks for x in self.looks)


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
    looks = digits(program.compute) + 1
    result: list[int] = []
    for node in program.nodes:
        level = max((result[i] for i in node.args), default=0)
        for arg in node.args:
            trait = TABLE[program.nodes[arg].name].trait
            if trait is Trait.REDUCTION:
                level = max(level, result[arg] + 1)
            elif trait is Trait.SELECTION:
                level = max(level, result[arg] + looks)
        result.append(level)
    return result


def sweeps(program: Program) -> tuple[Sweep, ...]:
    """The program's walks over the data, in order; a sweep with nothing to do is left out."""
    level = levels(program)
    last = max((level[node] for node, _ in program.outputs), default=0)
    found = (_sweep(program, level, number) for number in range(last + 1))
    return tuple(s for s in found if s.sums or s.looks or s.writes or s.stores)


def _sweep(program: Program, level: Sequence[int], number: int) -> Sweep:
    nodes = program.nodes
    traits = [TABLE[node.name].trait for node in nodes]
    sums = tuple(i for i, t in enumerate(traits) if t is Trait.REDUCTION and level[i] == number)
    looks = tuple(
        Look(i, number - level[i], number - level[i] == digits(program.compute))
        for i, t in enumerate(traits)
        if t is Trait.SELECTION and 0 <= number - level[i] <= digits(program.compute)
    )
    writes = tuple(i for i, (node, _) in enumerate(program.outputs) if level[node] == number)
    stores = tuple(node for node in program.held if level[node] == number)
    wanted = [arg for i in sums for arg in nodes[i].args]
    wanted += [nodes[look.selection].args[0] for look in looks]
    wanted += [program.outputs[i][0] for i in writes]
    wanted += stores
    fetched = {node for node in program.held if level[node] < number}
    elements, scalars = _closure(nodes, wanted, fetched)
    return Sweep(
        level=number,
        elements=tuple(i for i in elements if i not in fetched and nodes[i].name != "input"),
        reads=tuple(int(nodes[i].attr[0]) for i in elements if nodes[i].name == "input"),
        fetches=tuple(i for i in elements if i in fetched),
        scalars=scalars,
        sums=sums,
        looks=looks,
        writes=writes,
        stores=stores,
    )


def _closure(
    nodes: Sequence[Node], wanted: Iterable[int], fetched: set[int]
) -> tuple[list[int], tuple[int, ...]]:
    """(elements, scalars) that the wanted nodes need, in order, not looking behind fetched ones."""
    seen: set[int] = set()
    scalars: set[int] = set()
    stack = list(wanted)
    while stack:
        index = stack.pop()
        if nodes[index].kind not in ELEMENT_KINDS:
            if nodes[index].kind is not Kind.SELECTION:
                scalars.add(index)
            continue
        if index in seen:
            continue
        seen.add(index)
        if index not in fetched:
            stack.extend(nodes[index].args)
    return sorted(seen), tuple(sorted(scalars))


def magnitude_words(compute: DType) -> str:
    """The unsigned integer that holds a magnitude's bits."""
    return "uint64" if compute == float64 else "uint32"
