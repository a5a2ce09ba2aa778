"""Jobs -> done: workers that take chunks of the jobs that are under way, admitted by bytes.

All workers work on the oldest job that has a chunk to give, so that memory stays that of one
component; a new job starts only when no other has work, and only if the bytes that it holds fit
beside those under way (one is always let in). What is computed doesn't depend on who computes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .buffers import Buffers
from .jobs import Chunk, Job


class Waiting(NamedTuple):
    """A job to be let in.

    number: the caller's, for telling jobs apart. make: makes it, with the worker's buffers. held:
    the most bytes that it holds at once.
    """

    number: int
    make: Callable[[Buffers], Job]
    held: int


class Workers:
    """A pool of threads over a stream of jobs.

    budget: how much all jobs under way may hold together. on_done: called with each finished job
    and its number, by a worker. stop: once it is set no further job is let in, and those under way
    are finished.
    """

    def __init__(
        self,
        jobs: Iterator[Waiting],
        threads: int,
        budget: int,
        on_done: Callable[[int, Job], None],
        stop: threading.Event | None = None,
    ) -> None:
        self._jobs = jobs
        self._budget = budget
        self._on_done = on_done
        self._stop = stop or threading.Event()
        self._waiting: Waiting | None = None
        self._active: list[tuple[Job, Waiting]] = []
        self._held = 0
        self._under_way = 0
        self._exhausted = False
        self._failure: BaseException | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"mergec-{i}", daemon=True)
            for i in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it has come. Raises what a worker raised."""
        for thread in self._threads:
            thread.join(seconds / len(self._threads))
        ended = not any(thread.is_alive() for thread in self._threads)
        if ended and self._failure is not None:
            raise self._failure
        return ended

    def stop(self) -> None:
        """Give out no more work and wait for the chunks under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def active(self) -> list[Job]:
        """The jobs under way."""
        return [job for job, _ in list(self._active)]

    def _work(self) -> None:
        buffers = Buffers()
        try:
            while (chunk := self._take(buffers)) is not None:
                if chunk.job.run(chunk, buffers):
                    self._settle(chunk.job)
        except BaseException as error:
            with self._changed:
                self._failure = self._failure or error
                self._stopped = True
                self._changed.notify_all()

    def _take(self, buffers: Buffers) -> Chunk | None:
        """The next chunk, waiting for one if need be; None when there is no more work."""
        while isinstance(found := self._chunk_or_job(), Waiting):
            job = found.make(buffers)  # not under the lock: others go on meanwhile
            with self._changed:
                self._active.append((job, found))
            self._settle(job)
        return found

    def _chunk_or_job(self) -> Chunk | Waiting | None:
        """A chunk, or a job that is let in and is to be made, or None at the end."""
        with self._changed:
            while not self._stopped:
                for job, _ in self._active:
                    chunk = job.take()
                    if chunk is not None:
                        return chunk
                admitted = self._admit()
                if admitted is not None:
                    return admitted
                if not self._under_way and self._exhausted and self._waiting is None:
                    return None
                self._changed.wait()
            return None

    def _admit(self) -> Waiting | None:
        """The next job, if there is one and its bytes fit."""
        if self._stop.is_set():
            self._exhausted, self._waiting = True, None
        if self._waiting is None and not self._exhausted:
            self._waiting = next(self._jobs, None)
            self._exhausted = self._waiting is None
        admitted = self._waiting
        if admitted is None:
            return None
        if self._under_way and self._held + admitted.held > self._budget:
            return None
        self._held += admitted.held
        self._under_way += 1
        self._waiting = None
        return admitted

    def _settle(self, job: Job) -> None:
        """A job has new work to give, or is done: one worker alone takes it out."""
        with self._changed:
            entries = [entry for entry in self._active if entry[0] is job and job.done]
            for entry in entries:
                self._active.remove(entry)
        for _, waiting in entries:
            self._on_done(waiting.number, job)
            with self._changed:
                self._held -= waiting.held
                self._under_way -= 1
        with self._changed:
            self._changed.notify_all()
