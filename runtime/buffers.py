"""A worker's own memory: one buffer a position, grown to the largest tile and used again."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler.kernels.codec import STORAGE
from ..compiler.program import DIGIT_BITS
from ..ops.dtypes import DType

_STORAGE = {name: np.dtype(storage) for name, storage in STORAGE.items()}


class Buffers:
    """Buffers of one worker. Their content holds until the same position is asked for again."""

    def __init__(self) -> None:
        self._bytes: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        self._bins = np.zeros((1, 1 << DIGIT_BITS), dtype=np.uint32)

    def bytes(self, position: int, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """`count` bytes, aligned for any element type."""
        while len(self._bytes) <= position:
            self._bytes.append(np.empty(0, dtype=np.uint8))
        if len(self._bytes[position]) < count:
            self._bytes[position] = np.empty(count, dtype=np.uint8)
        return self._bytes[position][:count]

    def bins(self, looks: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """Cleared histograms, one row a look (and at least one row)."""
        if len(self._bins) < looks:
            self._bins = np.empty((looks, 1 << DIGIT_BITS), dtype=np.uint32)
        found = self._bins[: max(1, looks)]
        if looks:
            found[:] = 0
        return found

    @staticmethod
    def storage(dtype: DType) -> np.dtype[Any]:
        """The numpy type that kernels see a dtype's bits as."""
        return _STORAGE[dtype.name]
