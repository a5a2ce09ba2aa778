"""A small tensor that is made, not read: a gate, from random numbers or from prompts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from ..ops.dtypes import DType
from .source_tensors import Opened, TensorReader
from .stores import StoredFile


@dataclass(frozen=True, eq=False)
class MadeTensor:
    """A tensor whose bytes `make` gives, when they are first needed.

    key: what they depend on, equal for equal bytes.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    key: tuple[object, ...]
    make: Callable[[], bytes]
    _made: list[bytes] = field(default_factory=list, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def natural(self) -> DType:
        return self.dtype

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    @property
    def cost(self) -> int:
        return 0

    @property
    def files(self) -> tuple[StoredFile, ...]:
        return ()

    @property
    def identity(self) -> tuple[object, ...]:
        return ("made", self.dtype.name, self.shape, *self.key)

    def reader(self, opened: Opened) -> TensorReader:
        return _MadeReader(self)

    def content(self) -> bytes:
        """All of it. Errors: those of `make`; ValueError where it gives another size."""
        with self._lock:
            if not self._made:
                data = self.make()
                if len(data) != self.nbytes:
                    raise ValueError(f"{self.name} takes {self.nbytes} bytes, not {len(data)}")
                self._made.append(data)
            return self._made[0]


class _MadeReader:
    def __init__(self, tensor: MadeTensor) -> None:
        self._tensor = tensor

    def read(self, start: int, buffer: memoryview) -> None:
        buffer[:] = self._tensor.content()[start : start + len(buffer)]

    def soon(self, start: int, count: int) -> None:
        """Nothing to fetch."""
