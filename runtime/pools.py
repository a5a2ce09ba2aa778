"""Thresholds of whole models: the cuts that many tensors share, found before any is computed.

A pool is all tensors of one source of one merge with `scope = model`. A pass over the model looks
at one digit of every tensor's magnitudes; the histograms of a pool are added up, and the cut is
narrowed to that digit. After the last pass each tensor is computed with its pools' cuts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np

from ..compiler.components import Component
from ..compiler.program import DIGIT_BITS
from ..ops.dtypes import DType
from .cuts import NOTHING, Bins, narrow


class Pools:
    """The pools of a plan, by number."""

    def __init__(self, components: Sequence[Component]) -> None:
        self.numel: dict[int, int] = {}
        self.bits: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self._bins: dict[int, Bins] = {}
        self._lock = threading.Lock()
        for component in components:
            for _, pool in pooled(component):
                self.numel[pool] = self.numel.get(pool, 0) + component.numel

    def want(self, pool: int, count: float) -> None:
        """How many elements of a pool are kept; all its tensors say the same."""
        with self._lock:
            kept = max(0, min(self.numel[pool], int(count)))
            self._left.setdefault(pool, kept)
            self.bits.setdefault(pool, 0 if kept else NOTHING)

    def add(self, pool: int, bins: Bins) -> None:
        """One tensor's histogram of the digit that this pass looks at."""
        with self._lock:
            if pool not in self._bins:
                self._bins[pool] = np.zeros(1 << DIGIT_BITS, dtype=np.int64)
            self._bins[pool] += bins

    def finish(self, digit: int, compute: DType) -> None:
        """The pass is through: narrow every cut."""
        for pool, bins in self._bins.items():
            if self._left[pool]:
                found = narrow(bins, self._left[pool], digit, compute)
                self.bits[pool] |= found.bits
                self._left[pool] = found.left
        self._bins.clear()


def pooled(component: Component) -> Iterator[tuple[int, int]]:
    """(selection, pool) of each selection of a component whose cut is a pool's."""
    program = component.template.program
    for index in program.pooled:
        yield index, component.pools[int(program.nodes[index].attr[0])]
