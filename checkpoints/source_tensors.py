"""What a tensor of a checkpoint is made of: bytes of a file, or what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from ..ops.dtypes import DType
from .stores import OpenFile, StoredFile

Opened: TypeAlias = Callable[[StoredFile], OpenFile]
"""Gives a file opened, the same one to all that ask."""


class TensorReader(Protocol):
    """Reads one tensor, by any number of threads."""

    def read(self, start: int, buffer: memoryview) -> None:
        """Fill the buffer with the tensor's bytes from `start` on. Errors: RunError E0605.

        Both ends are multiples of the dtype's size.
        """

    def soon(self, start: int, count: int) -> None:
        """Bytes of the tensor that will be read next."""


class SourceTensor(Protocol):
    """A tensor as it can be read. Told from others by its identity as an object."""

    @property
    def name(self) -> str: ...

    @property
    def dtype(self) -> DType: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def natural(self) -> DType:
        """The dtype of an output of it where none is asked for: that of decoded blocks is coarser
        than the float32 that they are read in."""

    @property
    def nbytes(self) -> int:
        """Bytes of this dtype and shape."""

    @property
    def cost(self) -> int:
        """Bytes that are read from files to get all of it once."""

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The files that it is read from."""

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two tensors only if their content is, as far as that of files can be told."""

    def reader(self, opened: Opened) -> TensorReader:
        """What reads it. Errors: RunError E0605 for a file that can't be opened."""


class Extent(NamedTuple):
    """A tensor that lies in a file as it is. A tuple, since a mixture of experts has 100,000."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    file: StoredFile
    offset: int
    """Absolute byte offset in that file."""
    nbytes: int

    # told apart by identity, as all source tensors are: hashing fields would take longer
    def __hash__(self) -> int:
        return object.__hash__(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    @property
    def natural(self) -> DType:
        return self.dtype

    @property
    def cost(self) -> int:
        return self.nbytes

    @property
    def files(self) -> tuple[StoredFile, ...]:
        return (self.file,)

    @property
    def identity(self) -> tuple[object, ...]:
        return (self.file.identity, self.name, self.dtype.name, self.shape)

    def reader(self, opened: Opened) -> TensorReader:
        return opened(self.file).window(self.offset, self.nbytes)
