"""A reference to the Hub -> the store of the commit that it stands for.

A commit that is known needs no request; one that isn't takes one, however many files it has.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from math import inf

from ...grammar.diagnostics import CheckpointError, MergecError
from ..json_files import CONFIG_NAME
from ..weight_files import is_index, weight_files
from .failures import failure
from .hub_store import BEGINNING, HubStore
from .kept import DAY, Entry, Kept, Listing
from .transport import requests_pool, trying

_ENDPOINT = "https://huggingface.co"


class Hub:
    """The Hub that the environment names. Errors are remembered, so that each is met once."""

    def __init__(self, *, streams: bool = False, offline: bool = False) -> None:
        self.endpoint = os.environ.get("HF_ENDPOINT", _ENDPOINT).rstrip("/")
        self.offline = offline or _says_offline()
        self.streams = streams
        self._kept = Kept(self.endpoint)
        self._found: dict[tuple[str, str], HubStore | MergecError] = {}
        self._lock = threading.Lock()

    def store(self, repo: str, revision: str | None) -> HubStore:
        """The store of a revision; None is the main branch.

        Errors: CheckpointError E0630 to E0635.
        """
        key = (repo, revision or "main")
        found = self._found.get(key)
        if found is None:
            try:
                found = self._open(*key)
            except MergecError as error:
                found = error
            with self._lock:
                found = self._found.setdefault(key, found)
        if isinstance(found, MergecError):
            raise found
        return found

    def known(self, repo: str, revision: str | None) -> HubStore | None:
        """The store of a revision whose listing is kept; no request is made."""
        listing = self._kept_listing(repo, revision or "main")
        return None if listing is None else self._store(listing)

    def warm(self, models: Iterable[tuple[str, str | None]]) -> None:
        """Read what planning needs of these models, many requests at a time.

        Errors are met again, with a place in the recipe, when a model is opened.
        """
        pool = requests_pool()

        def find(model: tuple[str, str | None]) -> HubStore | None:
            with suppress(MergecError):
                return self.store(*model)
            return None

        stores = [store for store in pool.map(find, dict.fromkeys(models)) if store]
        small = [
            (store, name)
            for store in stores
            for name in store.names()
            if name == CONFIG_NAME or is_index(name)
        ]
        list(pool.map(lambda pair: _begin(*pair), small))
        weights = []
        for store in stores:
            with suppress(MergecError):
                weights += [(store, name) for name in weight_files(store, None)[1]]
        list(pool.map(lambda pair: _begin(*pair), weights))

    def _store(self, listing: Listing) -> HubStore:
        return HubStore(
            listing, self.endpoint, self._kept, streams=self.streams, offline=self.offline
        )

    def _kept_listing(self, repo: str, revision: str) -> Listing | None:
        commit = self._kept.commit(repo, revision, oldest=inf if self.offline else DAY)
        return self._kept.listing(repo, commit or revision)

    def _open(self, repo: str, revision: str) -> HubStore:
        listing = self._kept_listing(repo, revision)
        if listing is None:
            if self.offline:
                raise CheckpointError.of(
                    "E0601",
                    f"model `{repo}` is not on this machine, and this is offline",
                    hint="run without --offline and HF_HUB_OFFLINE once",
                )
            listing = self._asked(repo, revision)
            self._kept.keep_listing(listing, revision)
        return self._store(listing)

    def _asked(self, repo: str, revision: str) -> Listing:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, library_name="mergec")
        try:
            found = trying(lambda: api.model_info(repo, revision=revision, files_metadata=True))
        except Exception as error:
            raise failure(error, repo, revision, self.endpoint) from None
        files = {
            sibling.rfilename: Entry(
                sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or ""
            )
            for sibling in found.siblings or []
        }
        return Listing(repo, found.sha or revision, files)


def _begin(store: HubStore, name: str) -> None:
    """Have a file's beginning kept."""
    with suppress(MergecError):
        file = store.open(name)
        file.read(0, memoryview(bytearray(min(file.size, BEGINNING))))
        file.close()


def _says_offline() -> bool:
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)
