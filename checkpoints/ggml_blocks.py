"""Blocks of ggml's quantisations -> a source tensor of float32 values, in transformers' order.

llama.cpp interleaves the two halves of each head's rows in queries and keys; a head is read at
once there, and its rows put back.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from ..ops.dtypes import DType, float32
from .source_tensors import Extent, Opened, TensorReader
from .stores import StoredFile, Window
from .values import as_floats

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False, slots=True)
class GgmlBlocks:
    """extent: name, shape and place; its dtype where it isn't quantised.

    kind: ggml's name of the quantisation, None without one. block: (elements, bytes). heads: whose
    rows are interleaved; None where none are.
    """

    extent: Extent
    kind: str | None
    block: tuple[int, int]
    heads: int | None
    natural: DType

    @property
    def name(self) -> str:
        return self.extent.name

    @property
    def dtype(self) -> DType:
        return float32

    @property
    def shape(self) -> tuple[int, ...]:
        return self.extent.shape

    @property
    def nbytes(self) -> int:
        return float32.itemsize * prod(self.shape)

    @property
    def cost(self) -> int:
        return self.extent.nbytes

    @property
    def files(self) -> tuple[StoredFile, ...]:
        return self.extent.files

    @property
    def identity(self) -> tuple[object, ...]:
        return ("ggml", *self.extent.identity, self.kind, self.heads)

    def reader(self, opened: Opened) -> TensorReader:
        window = opened(self.extent.file).window(self.extent.offset, self.extent.nbytes)
        return _BlocksReader(self, window)


class _BlocksReader:
    def __init__(self, tensor: GgmlBlocks, window: Window) -> None:
        self._tensor = tensor
        self._window = window
        self._elements, self._size = tensor.block

    def read(self, start: int, buffer: memoryview) -> None:
        import numpy as np

        out = np.frombuffer(buffer, dtype=np.float32)
        heads = self._tensor.heads
        if heads is None:
            out[:] = self._decoded(start // 4, len(out))
            return
        size = prod(self._tensor.shape) // heads  # elements of a head
        done = 0
        while done < len(out):
            head, place = divmod(start // 4 + done, size)
            count = min(size - place, len(out) - done)
            found = self._decoded(head * size, size)
            rows = self._tensor.shape[0] // heads
            found = found.reshape(rows // 2, 2, -1).swapaxes(0, 1).reshape(-1)
            out[done : done + count] = found[place : place + count]
            done += count

    def soon(self, start: int, count: int) -> None:
        first = start // 4 // self._elements
        last = -(-(start + count) // 4 // self._elements)
        self._window.soon(first * self._size, max(0, last - first) * self._size)

    def _decoded(self, first: int, count: int) -> np.ndarray[Any, Any]:
        """Elements as the file has them, float32."""
        import numpy as np

        begin, end = first // self._elements, -(-(first + count) // self._elements)
        raw = np.empty((end - begin) * self._size, dtype=np.uint8)
        if len(raw):
            self._window.read(begin * self._size, raw.data)
        if self._tensor.kind is None:
            return as_floats(raw, self._tensor.extent.dtype)
        from gguf.constants import GGMLQuantizationType
        from gguf.quants import dequantize

        values = dequantize(raw, GGMLQuantizationType[self._tensor.kind]).reshape(-1)
        skipped = first - begin * self._elements
        found: np.ndarray[Any, Any] = values[skipped : skipped + count]
        return found
