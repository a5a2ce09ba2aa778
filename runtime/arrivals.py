"""Files of models that are still elsewhere -> files on this machine, while computing goes on.

Several are fetched at a time, in the order of their first use. What needs one waits for it; what
needs none that is still under way goes first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import NamedTuple, TypeVar

from ..checkpoints.hub.snapshots import check_room
from ..checkpoints.stores import Identity, StoredFile

AT_ONCE = 4
"""Files fetched at a time; the Hub's client takes more connections for each where that helps."""

T = TypeVar("T")


class Fetch(NamedTuple):
    """A file under way: its name, its bytes, and those that have come."""

    name: str
    size: int
    done: int


class Arrivals:
    """Fetches the files that are missing, as long as its `with` block lasts."""

    def __init__(self, files: Iterable[StoredFile]) -> None:
        missing = {file.identity: file for file in files if file.store.missing(file.name)}
        self._files: dict[Identity, StoredFile] = missing
        self._done = dict.fromkeys(missing, 0)
        self._arrived = {identity: threading.Event() for identity in missing}
        self._waiting = iter(list(missing))
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._stopped = False

    def __enter__(self) -> Arrivals:
        """Begin. Errors: ResourceError E0634 where the disk hasn't room for all of it."""
        check_room(self.bytes_total)
        for number in range(min(AT_ONCE, len(self._files))):
            name = f"mergec-arrival-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped = True  # a file under way stays as it is, and is gone on with next time

    @property
    def bytes_total(self) -> int:
        """Bytes of all that is fetched."""
        return sum(file.size for file in self._files.values())

    @property
    def bytes_done(self) -> int:
        """Those that have come."""
        return sum(self._done.values())

    @property
    def under_way(self) -> list[Fetch]:
        """The files of which something has come, but not all."""
        return [
            Fetch(file.place, file.size, self._done[identity])
            for identity, file in self._files.items()
            if self._done[identity] and not self._arrived[identity].is_set()
        ]

    def wait(self, file: StoredFile) -> None:
        """Return when a file can be opened. Raises what went wrong with fetching any."""
        event = self._arrived.get(file.identity)
        if event is not None:
            event.wait()
            if self._failure is not None:
                raise self._failure

    def in_order(
        self, items: Iterable[T], needs: Callable[[T], Iterable[StoredFile]]
    ) -> Iterator[T]:
        """The items, those whose files are all there before those that have to wait."""
        if not self._files:
            yield from items
            return
        waiting = list(items)
        while waiting:
            ready = next((item for item in waiting if self._is_there(needs(item))), waiting[0])
            waiting.remove(ready)
            yield ready

    def _is_there(self, files: Iterable[StoredFile]) -> bool:
        events = (self._arrived.get(file.identity) for file in files)
        return all(event is None or event.is_set() for event in events)

    def _work(self) -> None:
        while not self._stopped:
            with self._lock:
                identity = next(self._waiting, None)
            if identity is None:
                return
            file = self._files[identity]
            try:
                file.store.fetch(file.name, partial(self._moved, identity))
            except BaseException as error:
                self._give_up(error)
                return
            self._arrived[identity].set()

    def _moved(self, identity: Identity, count: int) -> None:
        if self._stopped:
            raise InterruptedError("the run has ended")
        self._done[identity] += count

    def _give_up(self, error: BaseException) -> None:
        """Nobody waits any longer."""
        self._failure = self._failure or error
        self._stopped = True
        for event in self._arrived.values():
            event.set()
