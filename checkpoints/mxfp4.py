"""MXFP4 of gpt-oss (packed 4-bit floats, an exponent for 32 of them) -> a source tensor of float32.

    blocks: bytes [experts, rows, groups, 16], the lower half of a byte first
    scales: bytes [experts, rows, groups], powers of two
    tensor: [experts, 32 · groups, rows]: the model's own layout has the last two axes swapped

A row of the tensor has an element of every row of the blocks, so the packed bytes of an expert are
read at once and kept until another one is wanted: an eighth of what they decode to.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from ..ops.dtypes import DType, float32
from .source_tensors import Opened, SourceTensor, TensorReader
from .stores import StoredFile

if TYPE_CHECKING:
    import numpy as np

BLOCK_BYTES = 16
_GROUP = 2 * BLOCK_BYTES
_VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_BIAS = 127


@dataclass(frozen=True, eq=False, slots=True)
class Mxfp4:
    """value · 2 ** (exponent - 127), exact in float32."""

    name: str
    blocks: SourceTensor
    scales: SourceTensor
    natural: DType

    @property
    def dtype(self) -> DType:
        return float32

    @property
    def shape(self) -> tuple[int, ...]:
        experts, rows, groups, _ = self.blocks.shape
        return (experts, groups * _GROUP, rows)

    @property
    def nbytes(self) -> int:
        return float32.itemsize * prod(self.shape)

    @property
    def cost(self) -> int:
        return self.blocks.cost + self.scales.cost

    @property
    def files(self) -> tuple[StoredFile, ...]:
        return tuple(dict.fromkeys((*self.blocks.files, *self.scales.files)))

    @property
    def identity(self) -> tuple[object, ...]:
        return ("mxfp4", self.blocks.identity, self.scales.identity)

    def reader(self, opened: Opened) -> TensorReader:
        return _Mxfp4Reader(self, opened)


class _Mxfp4Reader:
    def __init__(self, tensor: Mxfp4, opened: Opened) -> None:
        _, self._rows, self._groups, _ = tensor.blocks.shape
        self._blocks = tensor.blocks.reader(opened)
        self._scales = tensor.scales.reader(opened)
        self._lock = threading.Lock()
        self._kept: tuple[int, np.ndarray[Any, Any], np.ndarray[Any, Any]] | None = None

    def read(self, start: int, buffer: memoryview) -> None:
        import numpy as np

        out = np.frombuffer(buffer, dtype=np.float32)
        inputs = self._groups * _GROUP
        done = 0
        while done < len(out):
            line, column = divmod(start // 4 + done, self._rows)
            expert, first = divmod(line, inputs)
            group = first // _GROUP
            lines = self._decoded(expert, group)  # [32, rows]
            count = min((_GROUP - first % _GROUP) * self._rows - column, len(out) - done)
            place = (first % _GROUP) * self._rows + column
            out[done : done + count] = lines.reshape(-1)[place : place + count]
            done += count

    def soon(self, start: int, count: int) -> None:
        size = self._rows * self._groups
        expert = start // 4 // (size * _GROUP)
        self._blocks.soon(expert * size * BLOCK_BYTES, size * BLOCK_BYTES)

    def _decoded(self, expert: int, group: int) -> np.ndarray[Any, Any]:
        """The 32 lines that a group of one expert gives."""
        import numpy as np

        blocks, scales = self._expert(expert)
        packed = blocks[:, group]  # [rows, 16]
        table = np.array([*_VALUES, *(-value for value in _VALUES)], dtype=np.float32)
        lines = np.empty((_GROUP, self._rows), dtype=np.float32)
        lines[0::2] = table[packed & 15].T
        lines[1::2] = table[packed >> 4].T
        return np.ldexp(lines, scales[:, group].astype(np.int32) - _BIAS)

    def _expert(self, number: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The packed bytes of an expert, and its exponents."""
        import numpy as np

        with self._lock:
            if self._kept is None or self._kept[0] != number:
                size = self._rows * self._groups
                blocks = np.empty(size * BLOCK_BYTES, dtype=np.uint8)
                scales = np.empty(size, dtype=np.uint8)
                self._blocks.read(number * len(blocks), blocks.data)
                self._scales.read(number * size, scales.data)
                shape = (self._rows, self._groups)
                self._kept = number, blocks.reshape(*shape, BLOCK_BYTES), scales.reshape(shape)
            return self._kept[1], self._kept[2]
