"""`https://`, `s3://` and `gs://` addresses -> stores.

A folder of a web server can't be listed: what is there is known from the names that a checkpoint
may have, and from its index. Object stores are listed; their client is the optional extra obstore.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ..grammar.diagnostics import CheckpointError, MergecError, RunError
from .hub.transport import RemoteRanges, requests_pool, trying
from .json_files import CONFIG_NAME
from .stores import Identity, OpenFile, Window
from .streamed import Rhythm, StreamedWindow

BEGINNING = 64 << 10
"""Bytes that are read first, and kept as long as the file is open: most headers are shorter."""

_PROBED = (
    CONFIG_NAME,
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "adapter_config.json",
    "adapter_model.safetensors",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "chat_template.jinja",
)


def open_address(address: str) -> AddressStore:
    """The store of an address. Errors: CheckpointError E0636 without what reads it."""
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        return AddressStore(address, WebFolder(address))
    try:
        import obstore  # noqa: F401
    except ImportError:
        raise CheckpointError.of(
            "E0636",
            f"reading {scheme}:// needs the package obstore",
            hint="pip install mergec[objects]",
        ) from None
    return AddressStore(address, ObjectFolder(address))


class WebFolder:
    """A folder of a web server."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._known: dict[str, tuple[int, str] | None] = {}

    def names(self) -> list[str]:
        found = list(requests_pool().map(self.find, _PROBED))
        names = [name for name, there in zip(_PROBED, found, strict=True) if there]
        for index in [name for name in names if name.endswith(".index.json")]:
            size, _ = self.find(index) or (0, "")
            shards = _shards(self.reader(index)(0, size))
            there = list(requests_pool().map(self.find, shards))
            names += [name for name, found in zip(shards, there, strict=True) if found]
        return names

    def find(self, name: str) -> tuple[int, str] | None:
        """(size, tag) of a file; None if there is none."""
        if name not in self._known:
            self._known[name] = trying(lambda: self._asked(name))
        return self._known[name]

    def reader(self, name: str) -> Callable[[int, int], bytes]:
        return RemoteRanges(f"{self._address}/{quote(name)}", {}).read

    def _asked(self, name: str) -> tuple[int, str] | None:
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            get_session,
            hf_raise_for_status,
        )

        response = get_session().request(
            "HEAD", f"{self._address}/{quote(name)}", follow_redirects=True, timeout=30.0
        )
        if response.status_code in (403, 404, 410):
            return None
        hf_raise_for_status(response)
        headers = response.headers
        tag = headers.get("ETag") or headers.get("Last-Modified") or ""
        return int(headers.get("Content-Length") or 0), tag


class ObjectFolder:
    """The objects below a prefix of a bucket."""

    def __init__(self, address: str) -> None:
        from obstore.store import from_url

        self._store: Any = from_url(address)
        self._known: dict[str, tuple[int, str]] | None = None

    def names(self) -> list[str]:
        return list(self._listed())

    def find(self, name: str) -> tuple[int, str] | None:
        return self._listed().get(name)

    def reader(self, name: str) -> Callable[[int, int], bytes]:
        import obstore

        def read(start: int, count: int) -> bytes:
            return bytes(obstore.get_range(self._store, name, start=start, length=count))

        return read

    def _listed(self) -> dict[str, tuple[int, str]]:
        import obstore

        if self._known is None:
            self._known = {
                entry["path"]: (entry["size"], entry.get("e_tag") or str(entry["last_modified"]))
                for page in obstore.list(self._store)
                for entry in page
            }
        return self._known


class AddressStore:
    """The files of an address; they are streamed."""

    def __init__(self, address: str, folder: WebFolder | ObjectFolder) -> None:
        self.place = address.rstrip("/")
        self.folder = folder
        self.rhythm = Rhythm()

    @cached_property
    def _names(self) -> list[str]:
        try:
            return sorted(self.folder.names())
        except Exception as error:
            raise self.failure(error) from None

    def names(self, pattern: str = "*") -> list[str]:
        parts = pattern.split("/")
        return [
            name
            for name in self._names
            if len(found := name.split("/")) == len(parts)
            if all(map(fnmatch.fnmatchcase, found, parts))
        ]

    def open(self, name: str) -> OpenFile:
        try:
            found = self.folder.find(name)
        except Exception as error:
            raise self.failure(error) from None
        if found is None:
            raise CheckpointError.of("E0602", f"{self.place}/{name} is missing")
        return AddressFile(self, name, *found)

    def leads_to(self, name: str) -> str | None:
        return None

    def is_streamed(self, name: str) -> bool:
        return True

    def missing(self, name: str) -> int:
        return 0

    def fetch(self, name: str, moved: Callable[[int], None]) -> None:
        """Nothing has to be fetched first."""

    def real(self, name: str = "") -> str:
        return f"{self.place}/{name}" if name else self.place

    def lies_in(self, name: str, folder: Path) -> bool:
        return False

    def failure(self, error: Exception) -> MergecError:
        """What to say of a client's error."""
        if isinstance(error, MergecError):
            return error
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return RunError.of(
            "E0637",
            f"{self.place} can't be read: {said[:300]}",
            hint="check the address, the network, and the credentials of its store",
        )


class AddressFile:
    """One file of an address."""

    def __init__(self, store: AddressStore, name: str, size: int, tag: str) -> None:
        self.place = f"{store.place}/{name}"
        self.size = size
        self.identity: Identity = ("address", self.place, size, tag)
        self._store = store
        self._reader = store.folder.reader(name)
        self._beginning = b""

    def read(self, start: int, buffer: memoryview) -> None:
        stop = start + len(buffer)
        if stop <= BEGINNING and not self._beginning:
            self._beginning = self.range(0, min(self.size, BEGINNING))
        if stop <= len(self._beginning):
            buffer[:] = self._beginning[start:stop]
        else:
            buffer[:] = self.range(start, len(buffer))

    def range(self, start: int, count: int) -> bytes:
        """Bytes of the file. Errors: RunError E0605, E0637."""
        try:
            data = self._reader(start, count)
        except Exception as error:
            raise self._store.failure(error) from None
        if len(data) != count:
            raise RunError.of("E0605", f"{self.place} ends before byte {start + count}")
        return data

    def window(self, start: int, count: int) -> Window:
        return StreamedWindow(self.range, start, count, requests_pool(), self._store.rhythm)

    def in_memory(self, places: Sequence[int]) -> int | None:
        return 0

    def close(self) -> None:
        """Nothing is held open."""


def _shards(index: bytes) -> list[str]:
    """The files that an index names, as far as it can be read: its errors are told later."""
    try:
        found = json.loads(index)["weight_map"].values()
        return sorted({name for name in found if isinstance(name, str) and "/" not in name})
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
