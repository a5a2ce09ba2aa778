"""Finished tensors -> lines of a file that survive whatever ends the run; the file -> the tensors.

A line is JSON and a checksum of its own: `["name", "key", "checksum"] 5a3c91f0`. It is written only
after the tensor's bytes are on the disk. What is torn or damaged ends the journal: all before it
holds, and the rest is computed again.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from pathlib import Path
from typing import NamedTuple

from ..grammar.diagnostics import RunError
from ..whole_files import write_whole
from .checksums import block_of
from .disk import flush

MOST_BYTES = 2**28
PAUSE = 0.05
"""Seconds between two flushes: what finishes meanwhile shares one."""


class Finished(NamedTuple):
    """What is known of a finished tensor. key: its content key; checksum: of its bytes."""

    key: str
    checksum: str


_quoted = json.encoder.encode_basestring_ascii
"""A string in JSON: what json.dumps says of it, at a sixth of the time."""

Record = dict[str, Finished]
"""Finished tensors by their names."""


def journal_line(name: str, finished: Finished) -> bytes:
    """The line of a finished tensor."""
    text = f"[{_quoted(name)}, {_quoted(finished.key)}, {_quoted(finished.checksum)}]".encode()
    return b"%s %08x\n" % (text, zlib.crc32(text))


def parse_journal(data: bytes) -> tuple[Record, int]:
    """(what a journal says, how many of its bytes hold)."""
    found: Record = {}
    good = 0
    while (end := data.find(b"\n", good)) >= 0:
        entry = _entry(data[good:end])
        if entry is None:
            break
        found[entry[0]] = entry[1]
        good = end + 1
    return found, good


def _entry(line: bytes) -> tuple[str, Finished] | None:
    text, _, mark = line.rpartition(b" ")
    if len(line) > MOST_BYTES or mark != b"%08x" % zlib.crc32(text):
        return None
    try:
        name, key, checksum = json.loads(text)
    except (ValueError, TypeError, RecursionError):  # right by its checksum, and yet
        return None
    if isinstance(name, str) and isinstance(key, str) and block_of(checksum) is not None:
        return name, Finished(key, checksum)
    return None


def read_journal(path: Path) -> Record:
    """What a journal's file says, cut off after its last good line; none is an empty one.

    Raises OSError.
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
        path.unlink(missing_ok=True)
        return {}
    data = path.read_bytes()
    found, good = parse_journal(data)
    if good < len(data):
        os.truncate(path, good)
    return found


class _Row(NamedTuple):
    """A tensor to be noted: in which journal, and the file that its bytes are in."""

    journal: Path
    name: str
    finished: Finished
    file: Path


class Recorder:
    """Writes journals in a thread of its own, so that no worker waits for a disk.

    Use it as a context manager: leaving writes what is left, unless the bytes can't be flushed.
    """

    def __init__(self) -> None:
        self._waiting: list[_Row] = []
        self._markers: list[tuple[Path, bytes]] = []
        self._handles: dict[Path, int] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._work, name="mergec-journal", daemon=True)

    def note(self, journal: Path, name: str, finished: Finished, file: Path) -> None:
        """A tensor whose bytes are written to this file. Errors: RunError E0606."""
        self.check()
        with self._changed:
            self._waiting.append(_Row(journal, name, finished, file))
            self._changed.notify()

    def mark(self, path: Path, content: bytes) -> None:
        """A marker that is written once all that was noted before is. Errors: RunError E0606."""
        self.check()
        with self._changed:
            self._markers.append((path, content))
            self._changed.notify()

    def check(self) -> None:
        """Errors: RunError E0606 if a journal couldn't be written."""
        if self._failure is not None:
            reason = self._failure.strerror
            raise RunError.of("E0606", f"can't write {self._failure.filename}: {reason}")

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._thread.join()
        for handle in self._handles.values():
            os.close(handle)
        if error[0] is None:
            self.check()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._markers or self._closing.is_set()):
                    self._changed.wait()
                batch, self._waiting = self._waiting, []
                markers, self._markers = self._markers, []
                if not batch and not markers:
                    return
            try:
                self._write(batch)
                for path, content in markers:
                    write_whole(path, content)
                    flush(path)
            except OSError as error:
                error.filename = error.filename or "the journal"
                self._failure = error
                return
            self._closing.wait(PAUSE)

    def _write(self, batch: list[_Row]) -> None:
        """First the tensors' bytes, then their lines."""
        for file in dict.fromkeys(row.file for row in batch):
            _flush(self._handle(file, os.O_RDWR))
        lines: dict[Path, list[bytes]] = {}
        for row in batch:
            lines.setdefault(row.journal, []).append(journal_line(row.name, row.finished))
        for journal, found in lines.items():
            text = b"".join(found)
            handle = self._handle(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            done = 0
            while done < len(text):
                done += os.write(handle, text[done:])
            _flush(handle)

    def _handle(self, path: Path, flags: int) -> int:
        if path not in self._handles:
            self._handles[path] = os.open(path, flags, 0o666)
        return self._handles[path]


_flush = getattr(os, "fdatasync", os.fsync)
