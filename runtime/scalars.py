"""What passes between sweeps: sums -> scalars, histograms -> the cuts of selections."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ..compiler.components import Component
from ..compiler.kernels.source import RANK_FIELDS
from ..compiler.program import Look, Segment, digits
from ..ops.named import named_function
from ..ops.primitives import TABLE, Kind, Trait
from ..ops.symbols import Node
from .cuts import ALL_EQUALS, NOTHING, narrow
from .pools import Pools, pooled

Cuts: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.uint64]]


class Scalars:
    """The scalar values of one component while its sweeps run."""

    def __init__(self, component: Component, pools: Pools) -> None:
        program = component.template.program
        self._program = program
        self._params = component.params
        self._numel = component.numel
        self._pool_numel = [pools.numel.get(pool, 0) for pool in component.pools]
        self._values: dict[int, float] = {}
        self._found: set[int] = set()
        self._bundles: dict[int, Sequence[float]] = {}
        self._selections = [i for i, n in enumerate(program.nodes) if n.kind is Kind.SELECTION]
        self._row = {index: row for row, index in enumerate(self._selections)}
        self._left = [0] * len(self._selections)
        self.keys = np.array(component.keys or [0], dtype=np.uint64)
        self.cuts = np.zeros((max(1, len(self._selections)), 3), dtype=np.uint64)
        for index, pool in pooled(component):
            self.cuts[self._row[index]] = (pools.bits.get(pool, 0), ALL_EQUALS, 0)
            self._found.add(index)

    def vector(self, segment: Segment) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The scalars that a sweep's kernel takes, in its order."""
        return np.array([self._values[i] for i in segment.scalars] or [0.0], dtype=np.float64)

    def value(self, index: int) -> float:
        """A scalar's value, once it is known."""
        return self._values[index]

    def prepare(self) -> None:
        """Compute every scalar that can be known by now."""
        for index, node in enumerate(self._program.nodes):
            if index in self._values or index in self._bundles:
                continue
            trait = TABLE[node.name].trait
            if trait is Trait.REDUCTION or not all(self._is_known(i) for i in node.args):
                continue
            if node.kind is Kind.BUNDLE and trait is Trait.HOST:
                arguments = [self._values[i] for i in node.args]
                self._bundles[index] = named_function(str(node.attr[0]))(*arguments)
            elif node.kind in (Kind.SCALAR, Kind.FLAG):
                self._values[index] = self._evaluate(node)

    def _is_known(self, index: int) -> bool:
        return index in self._values or index in self._bundles or index in self._found

    def _evaluate(self, node: Node) -> float:
        if node.name == "param":
            return self._params[int(node.attr[0])]
        if node.name == "const":
            return float(node.attr[0])
        if node.name == "numel":
            return float(self._numel)
        if node.name == "pool_numel":
            return float(self._pool_numel[int(node.attr[0])])
        if node.name == "host_item":
            return float(self._bundles[node.args[0]][int(node.attr[0])])
        if node.name == "cut_magnitude":
            return self._magnitude(self._row[node.args[0]])
        evaluate = TABLE[node.name].evaluate
        assert evaluate is not None
        return float(evaluate(*(self._values[i] for i in node.args)))

    def _magnitude(self, row: int) -> float:
        """The magnitude whose bits a cut has; of nothing infinity."""
        bits = int(self.cuts[row, 0])
        if bits == NOTHING:
            return math.inf
        wide = self._program.compute.itemsize == 8
        return struct.unpack("<d", struct.pack("<Q", bits))[0] if wide else _single(bits)

    def add_up(
        self, segment: Segment, sums: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    ) -> None:
        """Each reduction's value: the tiles' sums in their order."""
        for place, index in enumerate(segment.sums):
            self._values[index] = sum(sums[:, place].tolist())

    def look(self, look: Look, bins: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """Narrow a selection to the digit that holds its last element."""
        row = self._row[look.selection]
        compute = self._program.compute
        if look.digit == 0:
            wanted = self._values[self._program.nodes[look.selection].args[1]]
            self._left[row] = max(0, min(self._numel, int(wanted)))
            if self._left[row] == 0:  # nothing is kept: no magnitude's bits are above all ones
                self.cuts[row, 0] = np.uint64(NOTHING)
        if look.digit == digits(compute) - 1:
            self._found.add(look.selection)
        if self._settled(row):
            return
        found = narrow(bins, self._left[row], look.digit, compute)
        self._left[row] = found.left
        self.cuts[row, 0] |= np.uint64(found.bits)
        if look.digit == digits(compute) - 1:
            whole = found.equals == found.left
            self.cuts[row, 1] = np.uint64(ALL_EQUALS if whole else 0)
            self._left[row] = 0 if whole else found.left

    def wanted_rank(self, look: Look) -> int:
        """How many elements equal to a selection's cut are kept, from the first on; 0: all are."""
        row = self._row[look.selection]
        return 0 if self._settled(row) else self._left[row]

    def settle(self, look: Look, index: int) -> None:
        """Equals up to this element's index are kept."""
        row = self._row[look.selection]
        self.cuts[row, 1] = np.uint64(index + 1)
        self._left[row] = 0

    def cuts_asking(self, look: Look, rank: int) -> Cuts:
        """The cuts, with the rank whose element a ranking kernel shall find."""
        cuts = self.cuts.copy()
        cuts[self._row[look.selection], 2] = np.uint64(rank)
        return cuts

    def _settled(self, row: int) -> bool:
        return self._left[row] == 0


def _single(bits: int) -> float:
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def rank_slots(segment: Segment) -> dict[int, int]:
    """For each ranking look, by its place in the sweep, where its count stands among the sums."""
    found: dict[int, int] = {}
    slot = len(segment.sums)
    for number, look in enumerate(segment.looks):
        if look.ranks:
            found[number] = slot
            slot += RANK_FIELDS
    return found
