"""Bytes of checkpoints and outputs: reads and writes at offsets, counted, by any thread.

Reads are `pread` into reused buffers, not mmap: resident memory stays small, and a file that
shrinks while it is read is an error instead of a signal.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from ..compiler.graph import Load
from ..grammar.diagnostics import RunError

if hasattr(os, "posix_fadvise"):
    _advise = os.posix_fadvise
    _SOON = os.POSIX_FADV_WILLNEED
else:
    _advise, _SOON = None, 0  # type: ignore[assignment]


class Files:
    """Open files by path, each opened once; close them all at the end."""

    def __init__(self) -> None:
        self._open: dict[tuple[Path, int], int] = {}
        self._lock = threading.Lock()
        self.bytes_read = 0
        self.bytes_written = 0

    def read(self, load: Load, start: int, buffer: memoryview) -> None:
        """Fill the buffer with a tensor's bytes from byte `start` of the tensor on."""
        path = load.checkpoint.files[load.tensor.file].path
        fd = self._descriptor(path, os.O_RDONLY)
        self._read_fully(path, fd, load.tensor.offset + start, buffer)

    def read_soon(self, load: Load, start: int, count: int) -> None:
        """Tell the system that these bytes of a tensor will be read next."""
        if _advise is not None and count > 0:
            path = load.checkpoint.files[load.tensor.file].path
            fd = self._descriptor(path, os.O_RDONLY)
            _advise(fd, load.tensor.offset + start, count, _SOON)

    def write(self, path: Path, offset: int, data: Any) -> None:
        """Write bytes at an offset of a file that is there already."""
        fd = self._descriptor(path, os.O_WRONLY)
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            try:
                done += os.pwrite(fd, view[done:], offset + done)
            except OSError as error:
                raise RunError.of("E0606", f"can't write {path}: {error.strerror}") from error
        with self._lock:
            self.bytes_written += len(view)

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            for fd in self._open.values():
                os.close(fd)
            self._open.clear()

    def _read_fully(self, path: Path, fd: int, offset: int, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            try:
                got = os.preadv(fd, [buffer[done:]], offset + done)
            except OSError as error:
                raise RunError.of("E0605", f"can't read {path}: {error.strerror}") from error
            if got == 0:
                raise RunError.of(
                    "E0605",
                    f"{path} ends before byte {offset + len(buffer)}",
                    hint="the file has changed since its header was read; plan again",
                )
            done += got
        with self._lock:
            self.bytes_read += len(buffer)

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
