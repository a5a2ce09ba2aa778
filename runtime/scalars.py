"""What passes between sweeps: sums -> scalars, histograms -> the cuts of selections."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

from ..compiler.kernels.arguments import CUT_FIELDS
from ..compiler.sweeps.components import Component
from ..compiler.sweeps.program import BIN_BITS, Look, Segment, magnitude_bits
from ..ops.named import named_function
from ..ops.primitives import TABLE, Role
from ..ops.symbols import Instruction
from .cuts import NOTHING, Query, Search
from .pools import Pools

Cuts: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.uint64]]


class Scalars:
    """The scalar values of one component while its sweeps run."""

    def __init__(self, component: Component, pools: Pools) -> None:
        program = component.template.program
        self._program = program
        self._params = component.params
        self._numel = component.numel
        self._pool_numel = [pools.sizes.get(pool, 0) for pool in component.pools]
        self._values: dict[int, float] = {}
        self._bundles: dict[int, Sequence[float]] = {}
        self._row = program.selections
        self._left: Sequence[int] = program.between_sweeps
        self.keys = np.array(component.keys or [0], dtype=np.uint64)
        self.cuts = np.zeros((max(1, len(self._row)), CUT_FIELDS), dtype=np.uint64)
        bits = magnitude_bits(program.compute)
        self._searches = {
            i: Search(component.numel, bits, BIN_BITS, i in program.ranked, keeps=True)
            for i in self._row
        }
        self._searches |= {index: pools.search(pool) for index, pool in component.pooled.items()}
        self._settle_rows()

    def vector(self, segment: Segment) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The scalars that a sweep's kernel takes, in its order."""
        return np.array([self._values[i] for i in segment.scalars] or [0.0], dtype=np.float64)

    def value(self, index: int) -> float:
        """A scalar's value, once it is known."""
        return self._values[index]

    def prepare(self) -> None:
        """Compute every scalar that can be known by now."""
        left: list[int] = []
        nodes, values = self._program.nodes, self._values
        for index in self._left:
            node = nodes[index]
            evaluate = TABLE[node.name].evaluate
            if evaluate is None:
                if not self._special(index, node):
                    left.append(index)
                continue
            try:  # the quickest way to ask whether all is known
                values[index] = float(evaluate(*[values[i] for i in node.args]))
            except KeyError:
                left.append(index)
        self._left = left
        self._settle_rows()

    def _settle_rows(self) -> None:
        for index, search in self._searches.items():
            if search.settled:
                search.fill(self.cuts[self._row[index]], search.query())

    def _special(self, index: int, node: Instruction) -> bool:
        """Compute what isn't just a function of scalars; False if it can't be known yet."""
        values = self._values
        match node.role:
            case Role.PARAMETER:
                values[index] = self._params[int(node.attr[0])]
            case Role.CONSTANT:
                values[index] = float(node.attr[0])
            case Role.NUMEL:
                values[index] = float(self._numel)
            case Role.POOL_NUMEL:
                values[index] = float(self._pool_numel[int(node.attr[0])])
            case Role.SELECTION if node.args[1] in values:
                self._searches[index].want(values[node.args[1]])
            case Role.CUT if self._searches[node.args[0]].settled:
                values[index] = self._magnitude(node.args[0])
            case Role.HOST_FUNCTION if all(i in values for i in node.args):
                arguments = [values[i] for i in node.args]
                self._bundles[index] = named_function(str(node.attr[0]))(*arguments)
            case Role.HOST_ITEM if node.args[0] in self._bundles:
                values[index] = float(self._bundles[node.args[0]][int(node.attr[0])])
            case _:
                return False
        return True

    def _magnitude(self, selection: int) -> float:
        """The magnitude whose bits a cut has; of nothing infinity."""
        bits = self._searches[selection].cut
        assert bits is not None
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

    # Selections ---------------------------------------------------------------------------------

    def searches(self, looks: Iterable[Look]) -> list[Search]:
        """The search behind each look."""
        return [self._searches[look.selection] for look in looks]

    def ask(self, looks: Sequence[Look]) -> list[Query]:
        """Write what these looks shall count into `cuts`."""
        queries = []
        for look, search in zip(looks, self.searches(looks), strict=True):
            queries.append(search.query())
            search.fill(self.cuts[self._row[look.selection]], queries[-1])
        return queries

    def row(self, look: Look) -> int:
        """The row of `cuts` that a look's selection has."""
        return self._row[look.selection]


def _single(bits: int) -> float:
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])
