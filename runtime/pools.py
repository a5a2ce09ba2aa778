"""Thresholds of whole models: the cuts that many tensors share, found before any is computed.

A pass over the model counts every tensor's magnitudes in bins; the bins of a pool are added up, and
its search is narrowed. After the last pass each tensor is computed with its pools' cuts.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..compiler.sweeps.components import Component
from ..compiler.sweeps.program import POOL_BIN_BITS, magnitude_bits
from .cuts import Search

Bins: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


class Pools:
    """The pools of a plan, by number."""

    def __init__(self, components: Sequence[Component]) -> None:
        self.numel: dict[int, int] = {}
        self._searches: dict[int, Search] = {}
        self._bins: dict[int, Bins] = {}
        self._lock = threading.Lock()
        bits = 0
        for component in components:
            for pool in component.pooled.values():
                self.numel[pool] = self.numel.get(pool, 0) + component.numel
                bits = magnitude_bits(component.template.program.compute)
        for pool, numel in self.numel.items():
            self._searches[pool] = Search(numel, bits, POOL_BIN_BITS, ranked=False)

    def search(self, pool: int) -> Search:
        """The search for a pool's cut."""
        return self._searches[pool]

    def add(self, pool: int, bins: Bins) -> None:
        """One tensor's histogram in this pass."""
        with self._lock:
            if pool not in self._bins:
                self._bins[pool] = np.zeros_like(bins)
            self._bins[pool] += bins

    def finish(self) -> None:
        """The pass is through: narrow every search."""
        for pool, bins in self._bins.items():
            search = self._searches[pool]
            search.counted(search.query(), bins, ())
        self._bins.clear()
