"""Bytes of checkpoints and outputs: reads and writes at offsets, counted, by any thread."""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from ..checkpoints.source_tensors import TensorReader
from ..checkpoints.stores import OpenFile, StoredFile
from ..compiler.graph.graph import Load
from ..grammar.diagnostics import CheckpointError, MergecError, RunError
from .arrivals import Arrivals
from .checksums import Checksum

T = TypeVar("T")

_EARLY = 6  # components whose tensors are asked for before their turn
_BEGINNING = 4 << 20  # bytes of each

ALIGNMENT = 4096
"""Writes whose place, length and memory are multiples of this pass the page cache by."""


class Writer:
    """Writes one tensor's bytes, at its offset of a file that is there already.

    What is aligned goes straight to the disk where the system offers that: an output is as large
    as a model and isn't read again, and in the page cache it would drive the sources out.
    """

    __slots__ = ("_direct", "_fd", "_offset", "_path")

    def __init__(self, path: Path, fd: int, direct: int | None, offset: int) -> None:
        self._path = path
        self._fd = fd
        self._direct = direct
        self._offset = offset

    def write(self, start: int, data: memoryview, aligned: bool = False) -> None:
        """Write bytes from byte `start` of the tensor on; aligned: the memory they are in is."""
        place, wanted, done = self._offset + start, len(data), 0
        if aligned and self._direct is not None and not (place | wanted) % ALIGNMENT:
            try:
                done = os.pwrite(self._direct, data, place)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise _unwritable(self._path, error) from error
                self._direct = None
        while done < wanted:
            try:
                done += os.pwrite(self._fd, data[done:], place + done)
            except OSError as error:
                raise _unwritable(self._path, error) from error


class SummedWriter:
    """A writer whose bytes are added to a checksum as they pass."""

    __slots__ = ("_checksum", "_writer")

    def __init__(self, writer: Writer, checksum: Checksum) -> None:
        self._writer = writer
        self._checksum = checksum

    def write(self, start: int, data: memoryview, aligned: bool = False) -> None:
        """Write bytes from byte `start` of the tensor on: a block of the checksum."""
        self._writer.write(start, data, aligned)
        self._checksum.add(start, data)


class Files:
    """Open files, each opened once; close them all at the end.

    arrivals: what fetches sources that aren't here yet; opening one waits for it.
    """

    def __init__(self, arrivals: Arrivals | None = None) -> None:
        self._arrivals = arrivals
        self._open: dict[tuple[Path, int], int] = {}
        self._sources: dict[StoredFile, OpenFile] = {}
        self._expected: dict[Load, TensorReader] = {}
        self._lock = threading.Lock()
        self.bytes_read = 0
        self.bytes_written = 0

    def reader(self, load: Load) -> TensorReader:
        """The reader of a source's tensor. Errors: RunError E0605."""
        expected = self._expected.pop(load, None)
        return expected or load.tensor.reader(self.source)

    def expecting(self, items: Iterable[T], loads_of: Callable[[T], Iterable[Load]]) -> Iterator[T]:
        """The items, the beginnings of their streamed tensors asked for a few items early."""
        waiting: deque[T] = deque()
        for item in items:
            streamed = [load for load in loads_of(item) if _is_streamed(load)]
            for load in streamed:
                reader = self._expected[load] = load.tensor.reader(self.source)
                reader.soon(0, min(load.tensor.nbytes, _BEGINNING))
            waiting.append(item)
            if not streamed or len(waiting) > _EARLY:
                yield waiting.popleft()
        yield from waiting

    def writer(self, path: Path, offset: int) -> Writer:
        """The writer of a tensor that begins at an offset of an output's file."""
        return Writer(path, self._descriptor(path, os.O_WRONLY), self._past_cache(path), offset)

    def count(self, read: int, written: int) -> None:
        """Note bytes that readers and writers have moved."""
        with self._lock:
            self.bytes_read += read
            self.bytes_written += written

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            for fd in self._open.values():
                os.close(fd)
            self._open.clear()
            for file in self._sources.values():
                file.close()
            self._sources.clear()

    def source(self, file: StoredFile) -> OpenFile:
        """A source's file, opened once. Errors: RunError E0605."""
        opened = self._sources.get(file)
        if opened is None:
            if self._arrivals is not None:
                self._arrivals.wait(file)
            with self._lock:
                opened = self._sources.get(file)
                if opened is None:
                    try:
                        opened = self._sources[file] = file.open()
                    except CheckpointError as error:
                        (problem,) = error.diagnostics
                        raise RunError.of("E0605", problem.message, hint=problem.hint) from None
        return opened

    def _past_cache(self, path: Path) -> int | None:
        """A descriptor that writes past the page cache, where the file system can."""
        flag: int = getattr(os, "O_DIRECT", 0)
        try:
            return self._descriptor(path, os.O_WRONLY | flag) if flag else None
        except RunError:
            return None

    def _descriptor(self, path: Path, flags: int) -> int:
        key = (path, flags)
        fd = self._open.get(key)
        if fd is None:
            with self._lock:
                fd = self._open.get(key)
                if fd is None:
                    try:
                        fd = self._open[key] = os.open(path, flags)
                    except OSError as error:
                        raise RunError.of("E0605", f"can't open {path}: {error.strerror}") from None
        return fd


def _is_streamed(load: Load) -> bool:
    return any(file.store.is_streamed(file.name) for file in load.tensor.files)


def _unwritable(path: Path, error: OSError) -> MergecError:
    return RunError.of("E0606", f"can't write {path}: {error.strerror}")
