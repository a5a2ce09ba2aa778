"""Jobs -> done: workers that take chunks of the jobs that are under way, admitted by bytes.

All workers work on the oldest job that has a chunk to give, so that memory stays that of one
component; a new job starts only when no other has work, and only if the bytes that it holds fit
beside those under way (one is always let in). What is computed doesn't depend on who computes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from .buffers import Buffers
from .jobs import Chunk, Job


class Workers:
    """A pool of threads over a stream of jobs.

    jobs: each with the most bytes that it holds at once. budget: how much all jobs under way may
    hold together. on_done: called with each finished job, by a worker.
    """

    def __init__(
        self,
        jobs: Iterator[tuple[Job, int]],
        threads: int,
        budget: int,
        on_done: Callable[[Job], None],
    ) -> None:
        self._jobs = jobs
        self._budget = budget
        self._on_done = on_done
        self._waiting: tuple[Job, int] | None = None
        self._active: list[tuple[Job, int]] = []
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
        while isinstance(found := self._chunk_or_job(), Job):
            found.open(buffers)  # not under the lock: others go on meanwhile
            self._settle(found)
        return found

    def _chunk_or_job(self) -> Chunk | Job | None:
        """A chunk, or a job that was let in and is to be opened, or None at the end."""
        with self._changed:
            while not self._stopped:
                for job, _ in self._active:
                    chunk = job.take()
                    if chunk is not None:
                        return chunk
                if self._admit():
                    return self._active[-1][0]
                if not self._active and self._exhausted and self._waiting is None:
                    return None
                self._changed.wait()
            return None

    def _admit(self) -> bool:
        """Let the next job in, if there is one and its bytes fit."""
        if self._waiting is None and not self._exhausted:
            self._waiting = next(self._jobs, None)
            self._exhausted = self._waiting is None
        if self._waiting is None:
            return False
        held = sum(size for _, size in self._active)
        fits = held + self._waiting[1] <= self._budget
        if self._active and not fits:
            return False
        self._active.append(self._waiting)
        self._waiting = None
        return True

    def _settle(self, job: Job) -> None:
        """A job has new work to give, or is done."""
        if job.done:
            self._on_done(job)
        with self._changed:
            if job.done:
                self._active = [entry for entry in self._active if entry[0] is not job]
            self._changed.notify_all()
