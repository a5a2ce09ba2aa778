"""A part of a remote file -> a window that fetches ahead, and no byte twice.

Pieces are fetched by many requests at once and put aside in a file without a name, where later
sweeps over the same tensor find them; it goes when nobody reads the window any more.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import IO

from ..grammar.diagnostics import RunError
from ..home import home_folder

PIECE = 4 << 20
"""Bytes of a request: long enough that its latency is small beside it."""

_LEAST_AHEAD, _MOST_AHEAD = 2, 16  # pieces
_MEMORY = 0.2  # of the newest measurement in the running mean


class Rhythm:
    """How fast pieces come, which says how many to ask for ahead: latency times bandwidth."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._between = 1.0

    def arrived(self, seconds: float) -> None:
        """A piece has come, so long after it was asked for."""
        now = time.monotonic()
        with self._lock:
            self._seconds += _MEMORY * (seconds - self._seconds)
            self._between += _MEMORY * (now - self._last - self._between)
            self._last = now

    @property
    def ahead(self) -> int:
        """Pieces to have under way: as many as come while one of them is waited for."""
        wanted = round(self._seconds / max(1e-4, self._between))
        return max(_LEAST_AHEAD, min(_MOST_AHEAD, wanted))


class StreamedWindow:
    """`count` bytes of a remote file. fetch: gives (start, count) of the file's bytes."""

    def __init__(
        self,
        fetch: Callable[[int, int], bytes],
        start: int,
        count: int,
        pool: Executor,
        rhythm: Rhythm,
    ) -> None:
        self._fetch = fetch
        self._start = start
        self._count = count
        self._pool = pool
        self._rhythm = rhythm
        self._pieces: dict[int, Future[None]] = {}
        self._lock = threading.Lock()
        self._aside = _nameless()

    def read(self, start: int, buffer: memoryview) -> None:
        """Fill the buffer; what is wanted next is asked for meanwhile. Errors: RunError E0605."""
        if not len(buffer):
            return
        first, last = start // PIECE, (start + len(buffer) - 1) // PIECE
        for number in range(first, last + 1 + self._rhythm.ahead):
            self._ask(number)
        for number in range(first, last + 1):
            self._pieces[number].result()
        got = os.preadv(self._aside.fileno(), [buffer], start)
        if got != len(buffer):
            raise RunError.of("E0605", "a fetched tensor is shorter than it was")

    def soon(self, start: int, count: int) -> None:
        """Ask for bytes that will be read next."""
        if count > 0:
            for number in range(start // PIECE, (start + count - 1) // PIECE + 1):
                self._ask(number)

    def _ask(self, number: int) -> None:
        if number in self._pieces or number * PIECE >= self._count:
            return
        with self._lock:
            if number not in self._pieces:
                self._pieces[number] = self._pool.submit(self._get, number)

    def _get(self, number: int) -> None:
        start = number * PIECE
        count = min(PIECE, self._count - start)
        began = time.monotonic()
        data = self._fetch(self._start + start, count)
        self._rhythm.arrived(time.monotonic() - began)
        done = 0
        while done < count:
            done += os.pwrite(self._aside.fileno(), data[done:], start + done)


def _nameless() -> IO[bytes]:
    """A file that has no name, or loses it at once. Errors: RunError E0634."""
    try:
        folder = home_folder() / "streamed"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        message = f"no place to put fetched bytes aside: {error.strerror}"
        raise RunError.of("E0634", message, hint="let MERGEC_HOME name a folder") from None
