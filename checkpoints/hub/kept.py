"""What planning has read of the Hub, kept by commit: listings, headers, indexes and configs.

A commit never changes, so what is kept of it is true for ever. A branch moves: the commit that it
stood for is believed for a day, and asked for again after that.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...home import home_folder
from ...whole_files import write_whole

DAY = 24 * 3600.0


class Entry(NamedTuple):
    """A file of a repository: its size, and the hash of its content (git's own of small files)."""

    size: int
    digest: str


@dataclass(frozen=True)
class Listing:
    """A repository's files at a commit."""

    repo: str
    commit: str
    files: dict[str, Entry]


class Kept:
    """The folder of one endpoint's repositories. Nothing is kept where it can't be written."""

    def __init__(self, endpoint: str) -> None:
        digest = hashlib.sha256(endpoint.encode()).hexdigest()[:16]
        try:
            self._folder: Path | None = home_folder() / "hub" / digest
        except OSError:
            self._folder = None

    def commit(self, repo: str, revision: str, *, oldest: float = DAY) -> str | None:
        """The commit that a revision stood for, if that was asked within `oldest` seconds."""
        found = self._json(repo, "refs", f"{_safe(revision)}.json")
        if found is None or not time.time() - found["time"] <= oldest:
            return None
        return str(found["commit"])

    def listing(self, repo: str, commit: str) -> Listing | None:
        """The files at a commit."""
        found = self._json(repo, commit, "listing.json")
        if found is None:
            return None
        return Listing(repo, commit, {name: Entry(*entry) for name, entry in found.items()})

    def keep_listing(self, listing: Listing, revision: str) -> None:
        """Keep a listing, and that its revision stands for this commit today."""
        text = json.dumps({name: list(entry) for name, entry in listing.files.items()})
        self._write(text.encode(), listing.repo, listing.commit, "listing.json")
        now = json.dumps({"commit": listing.commit, "time": time.time()})
        self._write(now.encode(), listing.repo, "refs", f"{_safe(revision)}.json")

    def beginning(self, repo: str, commit: str, name: str) -> bytes:
        """As much of a file's beginning as is kept."""
        place = self._place(repo, commit, f"{_safe(name)}.begin")
        try:
            return b"" if place is None else place.read_bytes()
        except OSError:
            return b""

    def keep_beginning(self, data: bytes, repo: str, commit: str, name: str) -> None:
        """Keep a file's beginning."""
        self._write(data, repo, commit, f"{_safe(name)}.begin")

    def _place(self, repo: str, *parts: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder.joinpath(repo.replace("/", "--"), *parts)

    def _json(self, repo: str, *parts: str) -> dict[str, Any] | None:
        place = self._place(repo, *parts)
        try:
            found = None if place is None else json.loads(place.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _write(self, data: bytes, repo: str, *parts: str) -> None:
        place = self._place(repo, *parts)
        if place is None:
            return
        with suppress(OSError):  # it is read again next time
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(place, data, shared=True)


def _safe(name: str) -> str:
    """A revision's or a file's name as the name of one file."""
    return name.replace("%", "%25").replace("/", "%2F")
