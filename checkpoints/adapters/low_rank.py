"""Two thin factors B and A -> a source tensor with the values of s · B · A, computed as it is read.

In memory are A and a few rows of B. Each element is a sum over the rank in one order, in float32,
one product after the other: the same bits whatever is read at once, by however many threads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from ...ops.dtypes import DType, float32
from ..source_tensors import Opened, SourceTensor, TensorReader
from ..stores import StoredFile
from ..values import read_floats

if TYPE_CHECKING:
    import numpy as np

_AT_ONCE = 1 << 16  # elements that are summed up at once: they and the products stay in the cache


@dataclass(frozen=True, eq=False, slots=True)
class LowRank:
    """scale · B · A, or its transpose: of `shape`, whose first dimension counts its rows.

    a: [rank, columns …], b: [rows, rank …]. transposed: whether the tensor is stored the other way
    round, as embeddings and GPT-2's linear layers are.
    """

    name: str
    shape: tuple[int, ...]
    a: SourceTensor
    b: SourceTensor
    scale: float
    transposed: bool

    @property
    def dtype(self) -> DType:
        return float32

    @property
    def natural(self) -> DType:
        return float32

    @property
    def nbytes(self) -> int:
        return float32.itemsize * prod(self.shape)

    @property
    def cost(self) -> int:
        return self.a.cost + self.b.cost

    @property
    def files(self) -> tuple[StoredFile, ...]:
        return (*self.a.files, *self.b.files)

    @property
    def identity(self) -> tuple[object, ...]:
        return ("low rank", self.a.identity, self.b.identity, self.scale, self.transposed)

    def reader(self, opened: Opened) -> TensorReader:
        return _LowRankReader(self, opened)


class _LowRankReader:
    def __init__(self, tensor: LowRank, opened: Opened) -> None:
        self._tensor = tensor
        self._rank = tensor.a.shape[0]
        self._columns = prod(tensor.shape[1:])
        self._opened = opened
        self._a = tensor.a.reader(opened)
        self._b = tensor.b.reader(opened)
        self._lock = threading.Lock()
        self._kept: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None] | None = None

    def read(self, start: int, buffer: memoryview) -> None:
        import numpy as np

        out = np.frombuffer(buffer, dtype=np.float32)
        first, stop = start // 4, start // 4 + len(out)
        step = max(1, _AT_ONCE // self._columns)
        done = 0
        while first + done < stop:
            place = first + done
            row, column = divmod(place, self._columns)
            rows = min(step, -(-(stop - row * self._columns) // self._columns))
            block = self._rows(row, row + rows).reshape(-1)
            count = min(len(block) - column, stop - place)
            out[done : done + count] = block[column : column + count]
            done += count

    def soon(self, start: int, count: int) -> None:
        """The factors are small: they are read when they are needed."""

    def _rows(self, first: int, stop: int) -> np.ndarray[Any, Any]:
        """Rows of the product, float32."""
        import numpy as np

        right, left = self._factors()
        if left is None:
            width = self._rank * (stop - first)
            place = first * self._rank
            rows = read_floats(self._tensor.b, self._b, place, width).reshape(-1, self._rank)
        else:
            rows = left[first:stop]
        total = np.zeros((stop - first, self._columns), dtype=np.float32)
        product = np.empty_like(total)
        for k in range(self._rank):
            np.multiply(rows[:, k : k + 1], right[k], out=product)
            total += product
        total *= np.float32(self._tensor.scale)
        return total

    def _factors(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
        """(right factor [rank, columns], left factor [rows, rank] where it is kept whole)."""
        with self._lock:
            if self._kept is None:
                tensor = self._tensor
                a = read_floats(tensor.a, self._a, 0, prod(tensor.a.shape))
                a = a.reshape(self._rank, -1)
                if tensor.transposed:
                    b = read_floats(tensor.b, self._b, 0, prod(tensor.b.shape))
                    self._kept = b.reshape(-1, self._rank).T.copy(), a.T.copy()
                else:
                    self._kept = a, None
            return self._kept
