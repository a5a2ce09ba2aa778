"""Paths opened as checkpoints, and a store in memory that counts its reads, delays and fails.

from support.stores import MemoryStore, open_path, read_file
"""

from __future__ import annotations

import fnmatch
import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mergec.checkpoints.checkpoint import Checkpoint, open_checkpoint
from mergec.checkpoints.formats.safetensors import read_safetensors
from mergec.checkpoints.local_store import LocalStore, locate
from mergec.checkpoints.source_tensors import Extent
from mergec.checkpoints.stores import Identity, StoredFile
from mergec.grammar.diagnostics import CheckpointError, RunError


def open_path(path: Path, **options: Any) -> Checkpoint:
    """The checkpoint at a path; the options are those of `open_checkpoint`."""
    store, only = locate(path)
    return open_checkpoint(store, only, **options)


def read_file(path: Path) -> tuple[StoredFile, list[Extent]]:
    """A .safetensors file and its tensors."""
    return read_safetensors(LocalStore(path.parent), path.name, {})


class MemoryStore:
    """Files in memory, as a store behind a network would be.

    delay: seconds that a read takes. failing: after so many reads each fails. reads: (name, start,
    count) of every one; announced: the same of what `soon` was called with.
    """

    def __init__(self, place: str, delay: float = 0.0) -> None:
        self.place = place
        self.delay = delay
        self.failing: int | None = None
        self.reads: list[tuple[str, int, int]] = []
        self.announced: list[tuple[str, int, int]] = []
        self.open_files = 0
        self.files: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def fill(self, folder: Path) -> MemoryStore:
        """Take over the files of a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.files[path.relative_to(folder).as_posix()] = path.read_bytes()
        return self

    def names(self, pattern: str = "*") -> list[str]:
        parts = pattern.split("/")
        return sorted(
            name
            for name in self.files
            if len(found := name.split("/")) == len(parts)
            if all(map(fnmatch.fnmatchcase, found, parts))
        )

    def open(self, name: str) -> MemoryFile:
        if name not in self.files:
            raise CheckpointError.of("E0602", f"{self.place}/{name} is missing")
        with self.lock:
            self.open_files += 1
        return MemoryFile(self, name)

    def leads_to(self, name: str) -> str | None:
        return None

    def is_streamed(self, name: str) -> bool:
        return False

    def missing(self, name: str) -> int:
        return 0

    def fetch(self, name: str, moved: Callable[[int], None]) -> None:
        raise AssertionError("nothing is missing")

    def real(self, name: str = "") -> str:
        return f"{self.place}/{name}"

    def lies_in(self, name: str, folder: Path) -> bool:
        return False


class MemoryFile:
    def __init__(self, store: MemoryStore, name: str) -> None:
        self._store = store
        self._name = name
        self._data = store.files[name]
        self.size = len(self._data)
        self.place = f"{store.place}/{name}"
        digest = hashlib.sha256(self._data).hexdigest()
        self.identity: Identity = ("blob", digest, self.size)

    def read(self, start: int, buffer: memoryview) -> None:
        time.sleep(self._store.delay)
        with self._store.lock:
            self._store.reads.append((self._name, start, len(buffer)))
            failing = self._store.failing
            if failing is not None and len(self._store.reads) > failing:
                raise RunError.of("E0605", f"can't read {self.place}: the line is dead")
        buffer[:] = self._data[start : start + len(buffer)]

    def window(self, start: int, count: int) -> MemoryWindow:
        return MemoryWindow(self, start)

    def announce(self, start: int, count: int) -> None:
        self._store.announced.append((self._name, start, count))

    def in_memory(self, places: Sequence[int]) -> int | None:
        return 0

    def close(self) -> None:
        with self._store.lock:
            self._store.open_files -= 1


class MemoryWindow:
    def __init__(self, file: MemoryFile, start: int) -> None:
        self._file = file
        self._start = start

    def read(self, start: int, buffer: memoryview) -> None:
        self._file.read(self._start + start, buffer)

    def soon(self, start: int, count: int) -> None:
        self._file.announce(self._start + start, count)
