"""8-bit floats with a scale for all, a row or a block -> a source tensor of float32 values."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from ..ops.dtypes import DType, float32
from .source_tensors import Opened, SourceTensor, TensorReader
from .stores import StoredFile
from .values import as_floats, read_floats

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False, slots=True)
class ScaledFloat8:
    """weight · scale, in float32: the scale at (row // block[0], column // block[1]) of a grid.

    grid: how many scales there are down and across, for each matrix that the weight stacks.
    """

    weight: SourceTensor
    scale: SourceTensor
    block: tuple[int, int]
    grid: tuple[int, int]
    natural: DType

    @property
    def name(self) -> str:
        return self.weight.name

    @property
    def dtype(self) -> DType:
        return float32

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weight.shape

    @property
    def nbytes(self) -> int:
        return float32.itemsize * prod(self.shape)

    @property
    def cost(self) -> int:
        return self.weight.cost + self.scale.cost

    @property
    def files(self) -> tuple[StoredFile, ...]:
        return tuple(dict.fromkeys((*self.weight.files, *self.scale.files)))

    @property
    def identity(self) -> tuple[object, ...]:
        return ("scaled", self.weight.identity, self.scale.identity, self.block)

    def reader(self, opened: Opened) -> TensorReader:
        return _ScaledReader(self, opened)


class _ScaledReader:
    def __init__(self, tensor: ScaledFloat8, opened: Opened) -> None:
        self._tensor = tensor
        self._weight = tensor.weight.reader(opened)
        self._scale = tensor.scale.reader(opened)
        self._columns = tensor.shape[-1]
        self._rows = tensor.shape[-2]
        self._lock = threading.Lock()
        self._kept: np.ndarray[Any, Any] | None = None

    def read(self, start: int, buffer: memoryview) -> None:
        import numpy as np

        out = np.frombuffer(buffer, dtype=np.float32)
        first = start // 4
        raw = np.empty(len(out), dtype=np.uint8)
        self._weight.read(first, raw.data)
        out[:] = as_floats(raw, self._tensor.weight.dtype)
        done = 0
        while done < len(out):
            row, column = divmod(first + done, self._columns)
            if column == 0 and len(out) - done >= self._columns:
                rows = min((len(out) - done) // self._columns, self._alike(row))
            else:
                rows = 1
            count = min(rows * self._columns - column, len(out) - done)
            scale = self._scales_of(row)[column : column + count]
            part = out[done : done + count]
            if rows > 1:
                part = part.reshape(rows, self._columns)
            part *= scale
            done += count

    def soon(self, start: int, count: int) -> None:
        self._weight.soon(start // 4, count // 4)

    def _alike(self, row: int) -> int:
        """How many rows from this one on have the same scales."""
        inside = row % self._rows
        stop = min(self._rows, (inside // self._tensor.block[0] + 1) * self._tensor.block[0])
        return stop - inside

    def _scales_of(self, row: int) -> np.ndarray[Any, Any]:
        """The scale of each column in a row."""
        import numpy as np

        matrix, inside = divmod(row, self._rows)
        down, across = self._tensor.grid
        scales = self._scales()
        if scales.size == 1:
            return np.broadcast_to(scales.reshape(-1), (self._columns,))
        line = scales[(matrix * down + inside // self._tensor.block[0])]
        if across == 1:
            return np.broadcast_to(line, (self._columns,))
        return np.repeat(line, self._tensor.block[1])[: self._columns]

    def _scales(self) -> np.ndarray[Any, Any]:
        with self._lock:
            if self._kept is None:
                scale = self._tensor.scale
                found = read_floats(scale, self._scale, 0, prod(scale.shape))
                self._kept = found.reshape(-1, self._tensor.grid[1])
            return self._kept
