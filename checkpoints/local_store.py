"""A folder of this machine -> a store.

Reads are `pread` into the caller's buffer, not mmap: resident memory stays small, and a file that
shrinks while it is read is an error instead of a signal.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..grammar.diagnostics import CheckpointError, RunError
from .stores import Identity

if hasattr(os, "posix_fadvise"):
    _advise = os.posix_fadvise
    _SOON, _RANDOM = os.POSIX_FADV_WILLNEED, os.POSIX_FADV_RANDOM
else:
    _advise, _SOON, _RANDOM = None, 0, 0  # type: ignore[assignment]

# O_NONBLOCK: opening a named pipe must fail, not wait for a writer.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def locate(path: Path) -> tuple[LocalStore, str | None]:
    """The store of a path, and the one file in it that the path names, if it is no folder.

    Errors: CheckpointError E0601.
    """
    if not os.path.exists(path):
        raise CheckpointError.of("E0601", f"{path} doesn't exist")
    return (LocalStore(path), None) if path.is_dir() else (LocalStore(path.parent), path.name)


@dataclass(frozen=True)
class LocalStore:
    """A folder of this machine."""

    folder: Path

    @property
    def place(self) -> str:
        return str(self.folder)

    def names(self, pattern: str = "*") -> list[str]:
        found = (path for path in self.folder.glob(pattern) if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in found)

    def open(self, name: str) -> LocalFile:
        path = self.folder / name
        try:
            return LocalFile(path)
        except FileNotFoundError:
            raise CheckpointError.of("E0602", f"{path} is missing") from None
        except OSError as error:
            raise CheckpointError.of("E0603", f"can't read {path}: {error.strerror}") from None

    def leads_to(self, name: str) -> str | None:
        root = Path(self.real())
        real = Path(self.real(name))
        allowed = [root]
        if root.parent.name == "snapshots":
            repository = root.parent.parent
            allowed += [repository / "blobs", repository.parent / "blobs"]
        return None if any(real.is_relative_to(folder) for folder in allowed) else str(real)

    def is_streamed(self, name: str) -> bool:
        return False

    def missing(self, name: str) -> int:
        return 0

    def fetch(self, name: str, moved: Callable[[int], None]) -> None:
        """Nothing is missing here."""

    def real(self, name: str = "") -> str:
        return os.path.realpath(self.folder / name)

    def lies_in(self, name: str, folder: Path) -> bool:
        path = self.folder / name
        within = os.path.realpath(folder)
        ways = (os.path.realpath(path), os.path.abspath(path))
        return any(os.path.commonpath([within, way]) == within for way in ways)


class LocalFile:
    """A regular file. Opening it raises OSError, and CheckpointError E0603 for a pipe and such."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = os.open(path, _FLAGS)
        status = os.fstat(self._handle)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._handle)
            raise CheckpointError.of("E0603", f"{path} is not a regular file")
        self.size = status.st_size
        self.identity = _identity(path, status)

    @property
    def place(self) -> str:
        return str(self._path)

    def read(self, start: int, buffer: memoryview) -> None:
        done, wanted = 0, len(buffer)
        while done < wanted:
            try:
                rest = buffer[done:] if done else buffer
                got = os.preadv(self._handle, [rest], start + done)
            except OSError as error:
                raise RunError.of("E0605", f"can't read {self._path}: {error.strerror}") from error
            if got == 0:
                raise RunError.of(
                    "E0605",
                    f"{self._path} ends before byte {start + wanted}",
                    hint="the file has changed since its header was read; plan again",
                )
            done += got

    def soon(self, start: int, count: int) -> None:
        """Tell the system that these bytes will be read next.

        It would look for each of their pages; where the last one is in memory they are taken to be.
        """
        if _advise is None or count <= 0:
            return
        with suppress(OSError):
            if _tells_cached() and _is_cached(self._handle, start + count - 1):
                return
        _advise(self._handle, start, count, _SOON)

    def window(self, start: int, count: int) -> LocalWindow:
        return LocalWindow(self, start)

    def in_memory(self, places: Sequence[int]) -> int | None:
        """How many of these bytes are in the page cache; Linux alone tells.

        Looking makes Linux read what isn't there, no more than a page at a time here.
        """
        if not _tells_cached():
            return None
        try:
            if _advise is not None:
                _advise(self._handle, 0, 0, _RANDOM)
            return sum(_is_cached(self._handle, place) for place in places)
        except OSError:  # a file system that can't tell
            return None

    def close(self) -> None:
        os.close(self._handle)


class LocalWindow:
    """A part of a local file."""

    __slots__ = ("_file", "_start")

    def __init__(self, file: LocalFile, start: int) -> None:
        self._file = file
        self._start = start

    def read(self, start: int, buffer: memoryview) -> None:
        self._file.read(self._start + start, buffer)

    def soon(self, start: int, count: int) -> None:
        self._file.soon(self._start + start, count)


def what_changed(place: str, identity: Identity) -> str | None:
    """What is different of a file that was opened before, by its metadata; None if nothing is.

    place, identity: what the open file said of itself.
    """
    kind, _, size, *rest = identity
    if kind not in ("file", "blob"):
        return None
    try:
        found = os.stat(place)
    except OSError:
        return f"{place} is gone"
    if found.st_size != size:
        return f"{place} has {found.st_size:,} bytes, had {size:,}"
    seen = [found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
    if kind == "file" and seen != list(rest[: len(seen)]):
        return f"{place} was written again"
    return None


def _identity(path: Path, status: os.stat_result) -> Identity:
    real = os.path.realpath(path)
    if blob := _blob_hash(real):
        return ("blob", blob, status.st_size)
    # a file that is rewritten with its old time, or replaced, has another ctime or inode
    return ("file", real, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _blob_hash(real: str) -> str | None:
    """The content hash that a Hugging Face cache names its blob by, if the file is one."""
    *_, folder, parent, name = ("", "", *Path(real).parts)
    is_hash = len(name) == 64 and not set(name) - set("0123456789abcdef")
    return name if is_hash and "blobs" in (folder, parent) else None


def _tells_cached() -> bool:
    return hasattr(os, "RWF_NOWAIT")


def _is_cached(handle: int, place: int) -> bool:
    """Whether a byte of an open file is in memory. Raises OSError where that can't be told."""
    try:
        return os.preadv(handle, [bytearray(1)], place, os.RWF_NOWAIT) == 1
    except BlockingIOError:  # it would have to be read from the disk
        return False
