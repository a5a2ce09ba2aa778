"""Where bytes are: a store is a folder of files, wherever it is; an open file reads ranges of one.

Nothing outside of `checkpoints` knows whether a checkpoint lies on a disk or behind a network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from ..grammar.diagnostics import CheckpointError

Identity: TypeAlias = tuple[str | int, ...]
"""Equal for two files only if their content is equal, as far as can be told without reading it."""


class Window(Protocol):
    """A part of an open file. Places in it are counted from its own beginning."""

    def read(self, start: int, buffer: memoryview) -> None:
        """Fill the buffer with the bytes from `start` on. Errors: RunError E0605."""

    def soon(self, start: int, count: int) -> None:
        """Bytes that will be read next: they may be fetched meanwhile."""


class OpenFile(Protocol):
    """One file, open for reading by any number of threads."""

    @property
    def place(self) -> str:
        """Where it is, for people: a path or an address."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def identity(self) -> Identity:
        """What tells it from other files, its size included."""

    def read(self, start: int, buffer: memoryview) -> None:
        """Fill the buffer with the bytes from `start` on. Errors: RunError E0605."""

    def window(self, start: int, count: int) -> Window:
        """A part of it, that somebody is about to read."""

    def in_memory(self, places: Sequence[int]) -> int | None:
        """How many of these bytes would be read without waiting; None where that isn't known."""

    def close(self) -> None:
        """Let go of it."""


class Store(Protocol):
    """A folder of files. Names are relative to it, with `/` between their parts."""

    @property
    def place(self) -> str:
        """Where it is, for people: a path or an address."""

    def names(self, pattern: str = "*") -> list[str]:
        """The files whose names match a pattern of `fnmatch`, a `/` for itself, sorted."""

    def open(self, name: str) -> OpenFile:
        """Open a file. Errors: CheckpointError E0602 (there is none), E0603 (unreadable)."""

    def leads_to(self, name: str) -> str | None:
        """Where a file is a link to, if that is neither here nor where its cache keeps content.

        It could be any file of this machine, on its way into a published model.
        """

    def is_streamed(self, name: str) -> bool:
        """Whether a file is read over a network, so that it helps to ask for bytes early."""

    def missing(self, name: str) -> int:
        """Bytes that have to be fetched before the file is read; 0 if it can be opened as it is."""

    def fetch(self, name: str, moved: Callable[[int], None]) -> None:
        """Fetch what is missing, telling bytes as they come. Errors: CheckpointError E063x."""

    def real(self, name: str = "") -> str:
        """A file's or the folder's own name: the same for all ways that lead to it."""

    def lies_in(self, name: str, folder: Path) -> bool:
        """Whether a file is in a folder of this machine, or is reached through it."""


@dataclass(frozen=True, eq=False, slots=True)
class StoredFile:
    """A file of a store.

    header_sha256: the hash of what its format reads of it to know its tensors.
    """

    store: Store
    name: str
    size: int
    identity: Identity
    header_sha256: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return place_in(self.store, self.name)

    def open(self) -> OpenFile:
        """Open it. Errors: those of `Store.open`."""
        return self.store.open(self.name)


def place_in(store: Store, name: str) -> str:
    """Where a file of a store is, for people."""
    return f"{store.place.rstrip('/')}/{name}"


def read_small(store: Store, name: str, most: int) -> bytes:
    """All of a small file.

    Errors: those of `Store.open` and of reading; CheckpointError E0603 for one over `most` bytes.
    """
    file = store.open(name)
    try:
        if file.size > most:
            limit = f"{file.place} is over {most // 10**6} MB"
            raise CheckpointError.of("E0603", limit)
        data = bytearray(file.size)
        file.read(0, memoryview(data))
        return bytes(data)
    finally:
        file.close()
