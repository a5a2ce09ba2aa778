"""Whole values between sweeps: in memory, or in a spill file beside the output.

A spill file never has a name, where the file system allows that, so that a crash leaves nothing.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..grammar.diagnostics import ResourceError, RunError

Array: TypeAlias = np.ndarray[Any, Any]


class InMemory:
    """A value held in memory: tiles are views of it."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def tile(self, start: int, count: int) -> Array:
        """The tile's elements, to read or to fill."""
        return self.array[start : start + count]

    def copy(self, start: int, room: Array) -> None:
        """Copy elements into the given room."""
        room[:] = self.array[start : start + len(room)]

    def put(self, start: int, data: Array) -> None:
        """Keep a filled tile; it is in place already."""

    def close(self) -> None:
        """Let go of the memory."""
        self.array = np.empty(0, dtype=self.array.dtype)


class Spilled:
    """A value in a file: tiles are read into, and written from, a worker's buffer."""

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        self._itemsize = dtype.itemsize
        try:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - `close` closes it
                prefix=".mergec-spill-", dir=folder, buffering=0
            )
        except OSError as error:
            raise ResourceError.of("E0507", f"can't spill to {folder}: {error.strerror}") from None

    def copy(self, start: int, room: Array) -> None:
        """Read elements into the given room."""
        view = room.view(np.uint8).data
        done = 0
        while done < len(view):
            got = os.preadv(self._file.fileno(), [view[done:]], start * self._itemsize + done)
            if got == 0:
                raise RunError.of("E0507", "a spill file ends early")
            done += got

    def put(self, start: int, data: Array) -> None:
        """Write a filled tile."""
        view = data.view(np.uint8).data
        done = 0
        try:
            while done < len(view):
                done += os.pwrite(self._file.fileno(), view[done:], start * self._itemsize + done)
        except OSError as error:
            raise ResourceError.of("E0507", f"can't spill: {error.strerror}") from None

    def close(self) -> None:
        """Free the file."""
        self._file.close()


Held: TypeAlias = InMemory | Spilled
