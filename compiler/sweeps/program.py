"""The program of a component: its primitives, and the sweeps that walk over the data.

A program is the flat list of primitives behind one or more output tensors of one shape. A sweep is
one walk over the data that adds up, looks at, stores or writes what it can; see `units` and
`sweeps` for how a program is cut into sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ...ops.dtypes import DType
from ...ops.primitives import TABLE, Role, ValueKind
from ...ops.symbols import Instruction

ELEMENT_KINDS = (ValueKind.TENSOR, ValueKind.MASK)
BIN_BITS = 14
POOL_BIN_BITS = 16
"""A look counts magnitudes in 2 ** so many bins; one for a whole model's cut has more of them,
so that fewer passes over the model find it."""

LEAST_KEPT, KEPT_SHARE = 1 << 18, 32
"""A look may keep so many magnitudes, or one in so many: what lies between the ranks that a sample
brackets a cut with."""

LEAST_SAMPLED, SAMPLED = 1 << 14, 32
"""A sample is one element in SAMPLED; of small tensors LEAST_SAMPLED, but a quarter at most."""


@dataclass(frozen=True, eq=False)
class Program:
    """Primitives in order, arguments first.

    Leaves: `input` (attr: its slot), `param` (attr: its place in the parameter vector), `const`,
    `numel`; a `bernoulli`'s attr is its place in the key vector. inputs: dtype of each slot.
    outputs: the node that each output stores and the dtype that it is rounded to. compute: dtype of
    the elementwise arithmetic. refuses_nonfinite: whether NaN and infinity in an input are errors.
    """

    nodes: tuple[Instruction, ...]
    inputs: tuple[DType, ...]
    outputs: tuple[tuple[int, DType], ...]
    compute: DType
    refuses_nonfinite: bool = True

    @cached_property
    def pooled(self) -> tuple[int, ...]:
        """Selections whose cut is found over all tensors of a model, before the program runs."""
        return tuple(
            i
            for i, node in enumerate(self.nodes)
            if node.kind is ValueKind.SELECTION and TABLE[node.name].stream == "pools"
        )

    @cached_property
    def selections(self) -> dict[int, int]:
        """The row of kernels' cuts that each selection has."""
        found = [i for i, node in enumerate(self.nodes) if node.kind is ValueKind.SELECTION]
        return {index: row for row, index in enumerate(found)}

    @cached_property
    def ranked(self) -> frozenset[int]:
        """Selections of which it matters which of equal magnitudes are kept."""
        masks = (node for node in self.nodes if node.kind is ValueKind.MASK)
        return frozenset(i for node in masks for i in node.args if i in self.selections)

    @cached_property
    def between_sweeps(self) -> tuple[int, ...]:
        """What is computed between sweeps, in order: scalars that aren't sums, functions of them,
        the counts of selections."""
        kinds = (ValueKind.SCALAR, ValueKind.FLAG, ValueKind.SELECTION)
        return tuple(
            i
            for i, node in enumerate(self.nodes)
            if node.role is Role.HOST_FUNCTION
            or (node.kind in kinds and node.role is not Role.REDUCTION)
        )

    @property
    def coarse(self) -> bool:
        """Whether inputs have so few digits that differences of equal magnitude are common."""
        return any(dtype.itemsize <= 2 for dtype in self.inputs)

    @cached_property
    def slots_behind(self) -> tuple[int, ...]:
        """For each node the input slots that it is computed from, as a set of bits."""
        found: list[int] = []
        for node in self.nodes:
            slots = 1 << int(node.attr[0]) if node.role is Role.INPUT else 0
            for i in node.args:
                slots |= found[i]
            found.append(slots)
        return tuple(found)

    @cached_property
    def calls_wholes(self) -> bool:
        """Whether functions of whole tensors are called."""
        return any(node.role is Role.OPAQUE_FUNCTION for node in self.nodes)

    @cached_property
    def rowwise(self) -> bool:
        """Whether tiles must be whole rows."""
        return any(node.role is Role.ROW_FUNCTION for node in self.nodes)


@dataclass(frozen=True)
class Look:
    """One step of an exact selection among magnitudes' bit patterns: counts of them.

    number: 0 is the first look, which may be all that it takes; the later ones look closer.
    bin_bits: it has 2 ** so many bins.
    """

    selection: int
    number: int
    bin_bits: int = BIN_BITS


@dataclass(frozen=True)
class Segment:
    """One kernel call on each tile of a sweep.

    elements: nodes computed per element, in order. reads: input slots. fetches: values read back:
    held ones, and those that row functions gave for this tile. scalars: scalar nodes that elements
    use. sums: reduction nodes. looks: steps of selections. writes: output numbers. stores: values
    put aside: those to be held, and the arguments of row functions. rows: the row functions to call
    on the tile afterwards. checks: input slots to be checked for NaN and infinity.
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
    checks: tuple[int, ...] = ()

    @property
    def bins(self) -> tuple[int, int]:
        """The shape of its histograms, a row a look; never empty."""
        widest = max((look.bin_bits for look in self.looks), default=0)
        return max(1, len(self.looks)), 1 << widest


@dataclass(frozen=True)
class Sweep:
    """One walk over the data; it needs the results of all sweeps before it.

    segments: what is done to each tile, in order; more than one only around row functions. held:
    segments: what is done to each tile, in order; more than one only around row functions. held:
    values that it stores whole. wholes: functions of whole tensors to call when it is through.
    frees: values held until then that nothing later needs. seldom: nothing but closer looks, which
    inputs of few digits hardly ever need; it isn't counted in what a plan foresees.
    """

    segments: tuple[Segment, ...]
    held: tuple[int, ...]
    wholes: tuple[int, ...]
    frees: tuple[int, ...]
    seldom: bool = False

    @property
    def reads(self) -> tuple[int, ...]:
        """Input slots, each once."""
        return tuple(sorted({slot for segment in self.segments for slot in segment.reads}))

    @property
    def looks(self) -> tuple[Look, ...]:
        return tuple(look for segment in self.segments for look in segment.looks)

    @property
    def only_looks(self) -> bool:
        """Whether the sweep only looks for cuts; a run leaves it out if it knows them already."""
        busy = any(s.sums or s.writes or s.stores for s in self.segments)
        return not busy and not self.wholes and bool(self.looks)


def magnitude_bits(compute: DType) -> int:
    """Bits of a magnitude: all but the sign."""
    return compute.itemsize * 8 - 1


def expected_looks() -> int:
    """How many looks find an exact cut: one after a good sample, which the second makes good."""
    return 2


def most_looks(compute: DType) -> int:
    """How many looks find an exact cut, whatever happens.

    A sample misleads, bins narrow the range down, once there is too much to keep, and at last the
    equals are counted by tile.
    """
    return 3 + -(-magnitude_bits(compute) // BIN_BITS)


def kept_room(numel: int) -> int:
    """How many magnitudes a look may keep."""
    return min(numel, max(LEAST_KEPT, numel // KEPT_SHARE))


def sample_size(numel: int, most: int) -> int:
    """Elements of the sample that a first look takes, at most so many; 0 if it can do without."""
    if numel <= 1 << BIN_BITS:
        return 0
    return min(most, max(numel // SAMPLED, min(numel // 4, LEAST_SAMPLED)))


def pool_looks(compute: DType) -> int:
    """How many looks find an exact cut without a sample, with POOL_BIN_BITS a look."""
    return -(-magnitude_bits(compute) // POOL_BIN_BITS)
