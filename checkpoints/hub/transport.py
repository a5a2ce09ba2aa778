"""Byte ranges over HTTP: redirects followed with care, answers checked, tried again with back-off.

A token goes to the host that it is for and to no other: a redirect leads to wherever a server
says, and large files of the Hub do lie elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from ...grammar.diagnostics import MergecError, RunError
from .failures import passes

AT_ONCE = 16
"""Requests under way at a time: their latencies pass together."""

_TRIES = 6
_FIRST_WAIT = 0.25  # seconds, doubled each time
_LONGEST_WAIT = 60.0
_MOST_REDIRECTS = 5
_TIMEOUT = 30.0

T = TypeVar("T")


@cache
def requests_pool() -> ThreadPoolExecutor:
    """The threads that wait for answers."""
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mergec-fetch")


def trying(action: Callable[[], T]) -> T:
    """The action's result; it is tried again where that may help. Raises its last error."""
    wait = _FIRST_WAIT
    for _ in range(_TRIES - 1):
        try:
            return action()
        except Exception as error:
            least = passes(error)
            if least is None:
                raise
            time.sleep(min(_LONGEST_WAIT, max(wait, least)))
            wait *= 2
    return action()


class RemoteRanges:
    """Reads ranges of one address.

    headers: sent to the address's own host only. One request finds out where it redirects to;
    ranges are then asked for there, until that address expires. expected: the headers that the
    address must answer with, such as its commit.
    """

    def __init__(
        self, address: str, headers: Mapping[str, str], expected: Mapping[str, str] | None = None
    ) -> None:
        self._address = address
        self._headers = dict(headers)
        self._expected = dict(expected or {})
        self._location: str | None = None
        self._lock = threading.Lock()

    def read(self, start: int, count: int) -> bytes:
        """Bytes `start` to `start + count`. Errors: RunError E0605; the client's own."""
        data = bytearray()

        def rest() -> None:  # what has come stays when the connection breaks
            while len(data) < count:
                self._range(start + len(data), count - len(data), data)

        trying(rest)
        return bytes(data)

    def _range(self, start: int, count: int, data: bytearray) -> None:
        """One answer, added to the data as it comes."""
        address = self._location or self._address
        for _ in range(_MOST_REDIRECTS):
            with self._get(address, start, count) as response:
                if response.is_redirect:
                    address = self._followed(response)
                elif address != self._address and response.status_code in (401, 403, 404):
                    address, self._location = self._address, None  # it has expired
                else:
                    self._check(response, start, count)
                    self._location = address
                    for piece in response.iter_raw():
                        data += piece
                    return
        raise RunError.of("E0605", f"{self._address} redirects again and again")

    def _get(self, address: str, start: int, count: int) -> Any:
        from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

        headers = {"Range": f"bytes={start}-{start + count - 1}", "Accept-Encoding": "identity"}
        if _host(address) == _host(self._address):
            headers |= self._headers
        return get_session().stream(
            "GET", address, headers=headers, follow_redirects=False, timeout=_TIMEOUT
        )

    def _followed(self, response: Any) -> str:
        """Where a redirect leads."""
        for name, value in self._expected.items():
            if response.headers.get(name, value) != value:
                raise _changed(self._address, name)
        location: str = urljoin(str(response.request.url), response.headers["Location"])
        scheme = urlsplit(location).scheme
        secure = urlsplit(self._address).scheme == "https"
        if scheme not in ("http", "https") or (secure and scheme != "https"):
            raise RunError.of(
                "E0605",
                f"{self._address} redirects to {location[:200]!a}, which isn't followed",
                hint="only addresses that are as secure as the first one are",
            )
        return location

    def _check(self, response: Any, start: int, count: int) -> None:
        """Refuse an answer that isn't the bytes asked for, before any of them is taken."""
        if response.status_code >= 400:
            from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

            response.read()
            hf_raise_for_status(response)
        for name, value in self._expected.items():
            if response.headers.get(name, value) != value:
                raise _changed(self._address, name)
        length = int(response.headers.get("Content-Length") or 0)
        begins = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        whole = response.status_code == 200 and start == 0
        if not (whole or (response.status_code == 206 and begins)) or not 0 < length <= count:
            raise RunError.of(
                "E0605",
                f"{self._address} doesn't answer with the bytes that were asked for",
                hint="its server must serve ranges",
            )


def _changed(address: str, name: str) -> MergecError:
    return RunError.of(
        "E0605",
        f"{address} isn't what it was when the plan was made: its {name} is another",
        hint="plan again",
    )


def _host(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc
