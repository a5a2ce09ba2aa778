"""What kernels keep of each tile, for a look -> all of it, if there was room: see `cuts`."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]


class KeptMagnitudes:
    """The magnitudes that a look keeps, tile by tile; of none if there isn't room for all."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._by_tile: dict[int, Array] | None = {}

    def add(self, tile: int, count: int, row: Array) -> None:
        """A tile's: as many as `row` has room for of `count`."""
        self._room -= count
        if self._by_tile is None or count > len(row) or self._room < 0:
            self._by_tile = None
        elif count:
            self._by_tile[tile] = row[:count].copy()

    def all(self) -> Array | None:
        """Those of all tiles."""
        if self._by_tile is None:
            return None
        return np.concatenate([np.empty(0, np.uint32), *self._by_tile.values()])

    def equal(self, distance: int, tiles: int) -> Array:
        """How many of each tile are equal to one."""
        found = np.zeros(tiles, np.int64)
        for tile, kept in (self._by_tile or {}).items():
            found[tile] = np.count_nonzero(kept == distance)
        return found
