"""A run as it goes -> what each group of stages took: bytes, time, memory.

Stages that are computed together can't be told apart: a group is the stages of one step, with all
steps that have the same ones. A meter counts what its steps' workers do; the gauge looks at the
memory of the process every few milliseconds, and notes it for the groups under way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from .report import resident_bytes

SAMPLE_SECONDS = 0.03


class Meter:
    """What one group's steps have taken so far; workers add to it.

    busy_seconds: of all workers together. bytes_read: of sources, counted at the reader.
    grown_bytes: the most that anonymous memory had grown while a step was under way.
    """

    def __init__(self) -> None:
        self.busy_seconds = 0.0
        self.bytes_read = 0
        self.grown_bytes = 0
        self._lock = threading.Lock()

    def worked(self, seconds: float) -> None:
        with self._lock:
            self.busy_seconds += seconds

    def has_read(self, nbytes: int) -> None:
        with self._lock:
            self.bytes_read += nbytes


class Gauge:
    """Samples how much anonymous memory has grown since it began, in a thread of its own.

    What the program itself takes, such as its kernels, is loaded `aside` and doesn't count.
    grown_bytes: the most growth seen; 0 where the system doesn't tell.
    """

    def __init__(self) -> None:
        self.grown_bytes = 0
        self._before = 0
        self._aside = 0
        self._lock = threading.Lock()

    @contextmanager
    def watch(self, active: Callable[[], Iterable[Meter]]) -> Iterator[None]:
        """Sample meanwhile; active: the meters of the steps that are under way."""
        self._before = resident_bytes("RssAnon")
        end = threading.Event()
        thread = threading.Thread(
            target=self._sample, args=(active, end), name="mergec-gauge", daemon=True
        )
        if self._before:
            thread.start()
        try:
            yield
        finally:
            end.set()
            if self._before:
                thread.join()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What memory grows by meanwhile doesn't count."""
        with self._lock:
            self._aside += 1
        before = resident_bytes("RssAnon")
        try:
            yield
        finally:
            with self._lock:
                self._aside -= 1
                self._before += max(0, resident_bytes("RssAnon") - before)

    def _sample(self, active: Callable[[], Iterable[Meter]], end: threading.Event) -> None:
        while not end.wait(SAMPLE_SECONDS):
            meters = list(active())
            held = resident_bytes("RssAnon")
            with self._lock:
                if self._aside:
                    continue
                grown = max(0, held - self._before)
            self.grown_bytes = max(self.grown_bytes, grown)
            for meter in meters:
                meter.grown_bytes = max(meter.grown_bytes, grown)
