"""A tensor whose rows lie apart in its file -> a view that reads them one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from ..ops.dtypes import DType
from .source_tensors import Extent, Opened, TensorReader
from .stores import StoredFile, Window


@dataclass(frozen=True, eq=False, slots=True)
class Strided:
    """extent: its dtype, shape and place. stride: elements from one index to the next, the last
    of them 1."""

    extent: Extent
    stride: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.extent.name

    @property
    def dtype(self) -> DType:
        return self.extent.dtype

    @property
    def natural(self) -> DType:
        return self.extent.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.extent.shape

    @property
    def offset(self) -> int:
        return self.extent.offset

    @property
    def nbytes(self) -> int:
        return self.extent.nbytes

    @property
    def cost(self) -> int:
        return self.extent.nbytes

    @property
    def files(self) -> tuple[StoredFile, ...]:
        return self.extent.files

    @property
    def identity(self) -> tuple[object, ...]:
        return (*self.extent.identity, self.stride)

    def reader(self, opened: Opened) -> TensorReader:
        reach = 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        window = opened(self.extent.file).window(self.offset, reach * self.dtype.itemsize)
        return _StridedReader(self, window)


class _StridedReader:
    def __init__(self, tensor: Strided, window: Window) -> None:
        self._window = window
        self._size = tensor.dtype.itemsize
        self._columns = tensor.shape[-1]
        self._outer = tuple(zip(tensor.shape[:-1], tensor.stride[:-1], strict=True))

    def read(self, start: int, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            row, column = divmod((start + done) // self._size, self._columns)
            count = min((self._columns - column) * self._size, len(buffer) - done)
            place = (self._row(row) + column) * self._size
            self._window.read(place, buffer[done : done + count])
            done += count

    def soon(self, start: int, count: int) -> None:
        first, last = (
            self._row(at // self._size // self._columns) for at in (start, start + count - 1)
        )
        self._window.soon(first * self._size, (last + self._columns - first) * self._size)

    def _row(self, number: int) -> int:
        """The element that a row begins at."""
        place = 0
        for dimension, step in reversed(self._outer):
            number, index = divmod(number, dimension)
            place += index * step
        return place
