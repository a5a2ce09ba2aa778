"""Segment -> Kernel: the mathematics of one kernel, a line a primitive, and its text.

A kernel holds everything that its machine code depends on, and its text shows all of it: the text
is what `mergec plan --emit kernels` prints, and a hash of it names the compiled kernel. Values are
numbered in order, so that equal kernels of different programs are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...ops.dtypes import DType
from ...ops.primitives import TABLE, Role, ValueKind
from ...ops.symbols import Attribute
from ..sweeps.program import Program, Segment
from .arguments import STORAGE


@dataclass(frozen=True)
class Buffer:
    """An argument: an array of stored elements."""

    name: str
    dtype: DType


@dataclass(frozen=True)
class Step:
    """A primitive: the value that it gives, and what it takes: values, scalars, constants."""

    value: str
    primitive: str
    args: tuple[str, ...]
    attr: Attribute = ()

    def __str__(self) -> str:
        symbol = TABLE[self.primitive].symbol
        if symbol and len(self.args) == 2:
            return f"{self.value} = {self.args[0]} {symbol} {self.args[1]}"
        words = ", ".join([*self.args, *map(str, self.attr)])
        return f"{self.value} = {self.primitive}({words})"


@dataclass(frozen=True)
class LookAt:
    """Counts of a value's magnitudes: the row of `cuts` that says which."""

    value: str
    row: int


@dataclass(frozen=True)
class Kernel:
    """One fused loop over a tile.

    compute: dtype of the arithmetic. far: whether a tile may cross the index 2 ** 32. inputs,
    outputs: the buffers that are read and written, in the order of the arguments. loads: the value
    that each input holds, and whether it is a truth value. checks: inputs that are checked for NaN
    and infinity. scalars: their names, in order; flags: those that are truth values. lines: what is
    computed. stores: the value that each output gets. sums: one or two values each, whose sum or
    sum of products is wanted. looks, bins: magnitudes to count, in so many bins.
    """

    compute: DType
    far: bool
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    loads: tuple[tuple[str, bool], ...]
    checks: tuple[str, ...]
    scalars: tuple[str, ...]
    flags: tuple[str, ...]
    lines: tuple[Step, ...]
    stores: tuple[str, ...]
    sums: tuple[tuple[str, ...], ...]
    looks: tuple[LookAt, ...]
    bins: int

    @property
    def buffers(self) -> tuple[str, ...]:
        """The numpy types of the buffers, in the order of the arguments."""
        return tuple(STORAGE[buffer.dtype.name] for buffer in (*self.inputs, *self.outputs))

    @property
    def staged(self) -> tuple[str, ...]:
        """Values that sums are made of, each once."""
        return tuple(dict.fromkeys(value for pair in self.sums for value in pair))

    @property
    def text(self) -> str:
        """All of it in words."""
        return "\n".join(_text(self)) + "\n"


def mathematics(program: Program, segment: Segment) -> Kernel:
    """The kernel of one segment of a sweep."""
    return _Reading(program, segment).kernel()


class _Reading:
    def __init__(self, program: Program, segment: Segment) -> None:
        self.program, self.segment, self.nodes = program, segment, program.nodes
        self._names: dict[int, str] = {
            index: f"s{place}" for place, index in enumerate(segment.scalars)
        }
        self._count = 0
        self._row = program.selections

    def kernel(self) -> Kernel:
        program, segment = self.program, self.segment
        slots = {
            int(node.attr[0]): index
            for index, node in enumerate(self.nodes)
            if node.role is Role.INPUT
        }
        loaded = [*(slots[slot] for slot in segment.reads), *segment.fetches]
        names = [self._named(index) for index in loaded]
        reads = [Buffer(f"in{n}", program.inputs[slot]) for n, slot in enumerate(segment.reads)]
        held = [Buffer(f"held{i}", program.compute) for i in range(len(segment.fetches))]
        lines = [self._line(index) for index in segment.elements]
        writes = [program.outputs[number] for number in segment.writes]
        outputs = [Buffer(f"out{n}", dtype) for n, (_, dtype) in enumerate(writes)]
        outputs += [Buffer(f"keep{i}", program.compute) for i in range(len(segment.stores))]
        stored = [*(node for node, _ in writes), *segment.stores]
        of_looks = [(self.nodes[look.selection].args[0], look) for look in segment.looks]
        return Kernel(
            compute=program.compute,
            far=program.rowwise,  # other tiles' lengths divide 2 ** 32: none of them crosses it
            inputs=(*reads, *held),
            outputs=tuple(outputs),
            loads=tuple(
                (name, self.nodes[index].kind is ValueKind.MASK)
                for name, index in zip(names, loaded, strict=True)
            ),
            checks=tuple(
                buffer.name
                for buffer, slot in zip(reads, segment.reads, strict=True)
                if slot in segment.checks
            ),
            scalars=tuple(self._names[index] for index in segment.scalars),
            flags=tuple(
                self._names[i] for i in segment.scalars if self.nodes[i].kind is ValueKind.FLAG
            ),
            lines=tuple(lines),
            stores=tuple(self._names[index] for index in stored),
            sums=tuple(tuple(self._names[i] for i in self.nodes[s].args) for s in segment.sums),
            looks=tuple(LookAt(self._names[i], self._row[look.selection]) for i, look in of_looks),
            bins=segment.bins[1],
        )

    def _named(self, index: int) -> str:
        """A new name for a value of elements."""
        self._names[index] = f"v{self._count}"
        self._count += 1
        return self._names[index]

    def _line(self, index: int) -> Step:
        node = self.nodes[index]
        args = tuple(self._names[i] for i in node.args if i not in self._row)
        rows = tuple(self._row[i] for i in node.args if i in self._row)
        return Step(self._named(index), node.name, args, (*rows, *node.attr))


def _text(kernel: Kernel) -> Iterator[str]:
    inputs, outputs = (
        ", ".join(f"{buffer.name} {buffer.dtype}" for buffer in buffers)
        for buffers in (kernel.inputs, kernel.outputs)
    )
    yield f"kernel({inputs}) -> ({outputs}) in {kernel.compute}"
    if kernel.scalars:
        flags = (f"{name} flag" if name in kernel.flags else name for name in kernel.scalars)
        yield f"scalars {', '.join(flags)}"
    yield "each element" + (", of whole rows" if kernel.far else "")
    for buffer, (value, is_mask) in zip(kernel.inputs, kernel.loads, strict=True):
        checked = ", finite" if buffer.name in kernel.checks else ""
        yield f"    {value} = {buffer.name}{' != 0' if is_mask else ''}{checked}"
    for line in kernel.lines:
        yield f"    {line}"
    for buffer, value in zip(kernel.outputs, kernel.stores, strict=True):
        yield f"    {buffer.name} = {value}"
    for number, values in enumerate(kernel.sums):
        yield f"    sum{number} += {' * '.join(values)}"
    for number, look in enumerate(kernel.looks):
        yield f"    look{number} counts |{look.value}| by cut {look.row} in {kernel.bins} bins"
