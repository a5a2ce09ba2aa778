"""Thresholds of whole models: the cuts that many tensors share, found before any is computed.

A pass over the model counts every tensor's magnitudes in bins; the bins of a pool are added up, and
its search is narrowed. Sums don't hang on their order, so that counts may come from anywhere: what
a pass has counted can be asked for and given, and a pass whose counts are known isn't taken again.
After the last pass each tensor is computed with its pools' cuts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import xxhash

from ..compiler.sweeps.program import POOL_BIN_BITS, magnitude_bits
from ..ops.dtypes import DType
from .cuts import Search

Bins: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Counts: TypeAlias = Mapping[int, Bins]
"""What one pass has counted, by pool."""

_DIGEST = 16


class Pools:
    """The pools of a plan, by number.

    sizes: the elements of each pool, of the whole plan. compute: the dtype of the magnitudes.
    """

    def __init__(self, sizes: Mapping[int, int], compute: DType) -> None:
        self.sizes = sizes
        bits = magnitude_bits(compute)
        self._searches = {
            pool: Search(size, bits, POOL_BIN_BITS, ranked=False) for pool, size in sizes.items()
        }
        self._counts: dict[int, Bins] = {}
        self._lock = threading.Lock()

    def search(self, pool: int) -> Search:
        """The search for a pool's cut."""
        return self._searches[pool]

    def add(self, pool: int, bins: Bins) -> None:
        """One tensor's histogram in this pass, or that of many."""
        with self._lock:
            if pool not in self._counts:
                self._counts[pool] = np.zeros_like(bins)
            self._counts[pool] += bins

    def counts(self) -> Counts:
        """What this pass has counted so far."""
        return self._counts

    def finish(self) -> None:
        """The pass is through: narrow every search."""
        for pool, bins in self._counts.items():
            search = self._searches[pool]
            search.counted(search.query(), bins, ())
        self._counts = {}


def encode_counts(counts: Counts) -> bytes:
    """A pass's counts as bytes, with a checksum of their own."""
    rows = sorted(counts.items())
    head = json.dumps([[pool, len(bins)] for pool, bins in rows]).encode() + b"\n"
    data = head + b"".join(bins.astype("<i8").tobytes() for _, bins in rows)
    return xxhash.xxh3_128_digest(data) + data


def decode_counts(data: bytes) -> Counts | None:
    """The counts of `encode_counts`; None if they are damaged."""
    mark, data = data[:_DIGEST], data[_DIGEST:]
    if xxhash.xxh3_128_digest(data) != mark:
        return None
    head, _, rest = data.partition(b"\n")
    found: dict[int, Bins] = {}
    place = 0
    for pool, length in json.loads(head):
        found[pool] = np.frombuffer(rest, "<i8", length, place).astype(np.int64)
        place += 8 * length
    return found
