"""A model of the Hub at one commit -> a store: its files here, or read there by ranges.

What planning reads is kept by commit (`kept`); weights come from the Hugging Face cache, into
which `fetch` puts them, or are streamed.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...grammar.diagnostics import CheckpointError, MergecError
from ..local_store import LocalFile, LocalStore
from ..stores import Identity, OpenFile, Window
from ..streamed import Rhythm, StreamedWindow
from .failures import failure
from .kept import Kept, Listing
from .snapshots import hub_cache, repository_folder
from .transport import RemoteRanges, requests_pool

BEGINNING = 64 << 10
"""Bytes that are asked for first: the headers of most files are shorter."""

_SMALL = 32 << 20  # a file of up to so many bytes is kept whole when it is read


class HubStore:
    """One commit of a repository.

    streams: whether weights are read from the Hub without being kept. offline: whether nothing is
    asked of it at all.
    """

    def __init__(
        self, listing: Listing, endpoint: str, kept: Kept, *, streams: bool, offline: bool
    ) -> None:
        self.listing = listing
        self._endpoint = endpoint
        self._kept = kept
        self._streams = streams
        self._offline = offline
        self._ranges: dict[str, RemoteRanges] = {}
        self.rhythm = Rhythm()

    @property
    def place(self) -> str:
        return f"{self._endpoint}/{self.listing.repo}/tree/{self.listing.commit}"

    @property
    def _folder(self) -> Path:
        """Where the cache keeps this commit."""
        return repository_folder(self.listing.repo) / "snapshots" / self.listing.commit

    def names(self, pattern: str = "*") -> list[str]:
        parts = pattern.split("/")
        return sorted(
            name
            for name in self.listing.files
            if len(found := name.split("/")) == len(parts)
            if all(map(fnmatch.fnmatchcase, found, parts))
        )

    def open(self, name: str) -> OpenFile:
        if name not in self.listing.files:
            raise CheckpointError.of("E0602", f"{self.place} has no file {name}")
        path = self._folder / name
        if path.exists():
            try:
                return LocalFile(path)
            except OSError as error:
                raise CheckpointError.of("E0603", f"can't read {path}: {error.strerror}") from None
        return RemoteFile(self, name)

    def leads_to(self, name: str) -> str | None:
        cached = LocalStore(self._folder)
        return cached.leads_to(name) if (self._folder / name).exists() else None

    def is_streamed(self, name: str) -> bool:
        return self._streams and not (self._folder / name).exists()

    def missing(self, name: str) -> int:
        there = self._streams or (self._folder / name).exists()
        return 0 if there else self.listing.files[name].size

    def fetch(self, name: str, moved: Callable[[int], None]) -> None:
        if self._offline:
            raise self.not_here(name)
        from huggingface_hub import hf_hub_download

        try:
            hf_hub_download(
                self.listing.repo,
                name,
                revision=self.listing.commit,
                cache_dir=hub_cache(),
                endpoint=self._endpoint,
                tqdm_class=_telling(moved),
                library_name="mergec",
            )
        except Exception as error:
            raise self.failure(error) from None

    def real(self, name: str = "") -> str:
        return f"{self.place}/{name}" if name else self.place

    def lies_in(self, name: str, folder: Path) -> bool:
        way, within = os.path.realpath(self._folder / name), os.path.realpath(folder)
        return os.path.commonpath([way, within]) == within

    # What remote files ask of it -----------------------------------------------------------------

    def beginning(self, name: str) -> bytes:
        """What is kept of a file."""
        return self._kept.beginning(self.listing.repo, self.listing.commit, name)

    def keep(self, name: str, data: bytes) -> None:
        """Keep a file's beginning."""
        self._kept.keep_beginning(data, self.listing.repo, self.listing.commit, name)

    def ranges(self, name: str) -> RemoteRanges:
        """What reads ranges of a file, the same for all readers. Errors: E0633 offline."""
        if self._offline:
            raise self.not_here(name)
        if name not in self._ranges:
            from huggingface_hub import get_token, hf_hub_url
            from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

            repo, commit = self.listing.repo, self.listing.commit
            address = hf_hub_url(repo, name, revision=commit, endpoint=self._endpoint)
            headers = build_hf_headers(token=get_token() or False, library_name="mergec")
            self._ranges[name] = RemoteRanges(address, headers, {"X-Repo-Commit": commit})
        return self._ranges[name]

    def failure(self, error: Exception) -> MergecError:
        """What to say of the Hub's client's error."""
        if isinstance(error, MergecError):
            return error
        return failure(error, self.listing.repo, self.listing.commit, self._endpoint)

    def not_here(self, name: str) -> MergecError:
        """What to say of a file that would have to be fetched."""
        return CheckpointError.of(
            "E0633",
            f"{name} of `{self.listing.repo}` isn't on this machine, and this is offline",
            hint="run without --offline and HF_HUB_OFFLINE once, or fetch it with `hf download`",
        )


class RemoteFile:
    """A file that is still on the Hub."""

    def __init__(self, store: HubStore, name: str) -> None:
        entry = store.listing.files[name]
        self.size = entry.size
        self.identity: Identity = ("blob", entry.digest, entry.size)
        self._store = store
        self._name = name

    @property
    def place(self) -> str:
        return f"{self._store.place}/{self._name}"

    def read(self, start: int, buffer: memoryview) -> None:
        """Beginnings and small files are kept, so that they are read once and for all."""
        kept = self._store.beginning(self._name)
        stop = start + len(buffer)
        if stop <= len(kept):
            buffer[:] = kept[start:stop]
        elif start <= max(len(kept), BEGINNING) and stop <= _SMALL:
            wanted = min(self.size, max(stop, BEGINNING))
            kept += self.range(len(kept), wanted - len(kept))
            self._store.keep(self._name, kept)
            buffer[:] = kept[start:stop]
        else:
            buffer[:] = self.range(start, len(buffer))

    def window(self, start: int, count: int) -> Window:
        return StreamedWindow(self.range, start, count, requests_pool(), self._store.rhythm)

    def range(self, start: int, count: int) -> bytes:
        """Bytes of the file. Errors: those of `failure`; RunError E0605."""
        try:
            return self._store.ranges(self._name).read(start, count)
        except Exception as error:
            raise self._store.failure(error) from None

    def in_memory(self, places: Sequence[int]) -> int | None:
        return 0

    def close(self) -> None:
        """Nothing is held open."""


def _telling(moved: Callable[[int], None]) -> Any:
    """A progress bar's class that draws nothing and tells bytes."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    class Telling(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"disable": True}))
            moved(int(options.get("initial") or 0))

        def update(self, n: float | None = 1) -> bool | None:
            moved(int(n or 0))
            return None

    return Telling
