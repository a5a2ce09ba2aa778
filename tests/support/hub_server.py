"""A small server on 127.0.0.1 that speaks the Hub's routes, for tests without a network.

from support.hub_server import HubServer

with HubServer() as hub:
    hub.add("org/name", folder)       # its files, as a repository with one commit
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)

Weights (whatever is over 4 KiB) are stored as the Hub stores them: a resolve answers with a
redirect to another host, here `localhost` beside `127.0.0.1`, which serves ranges. Every request
is kept in `hub.requests`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

LARGE = 4096
"""Files over so many bytes are kept as large ones."""

_PIECE = 1 << 20
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Request:
    """One request: its method and path, its headers in lower case, the bytes of its answer."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int
    sent: int


@dataclass
class HubFile:
    """A file of a repository: in memory or on disk."""

    size: int
    sha256: str
    read: Callable[[int, int], bytes]

    @property
    def is_large(self) -> bool:
        return self.size > LARGE


@dataclass
class Repository:
    """A repository with one commit, by any name of which it is found.

    gated: only readers with `token` may fetch its files. private: others don't see it at all.
    """

    name: str
    files: dict[str, HubFile]
    commit: str
    gated: bool = False
    private: bool = False
    token: str | None = None
    revisions: set[str] = field(default_factory=lambda: {"main"})


@dataclass
class Faults:
    """What goes wrong, by the number of requests that it still happens to.

    limited: answered with 429. resets: the connection breaks after half of the answer. short: the
    answer ends after half. broken: answered with 503.
    """

    limited: int = 0
    resets: int = 0
    short: int = 0
    broken: int = 0


class HubServer:
    """Repositories by name; a thread answers until the `with` block ends. delay: seconds before
    each answer. redirect: an address to send readers of large files to instead of the own one."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.faults = Faults()
        self.redirect: str | None = None
        self.routes: list[tuple[str, re.Pattern[str], Callable[[Handler, re.Match[str]], None]]] = [
            ("GET", re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?"), _information),
            ("GET", re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)"), _resolve),
            ("GET", re.compile(r"/cdn/([0-9a-f]{64})"), _content),
        ]
        """Tried in order; a GET route answers HEAD too. Tests may add their own."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.hub = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def content_address(self) -> str:
        """The other host, which large files are served from."""
        return f"http://localhost:{self.port}/cdn"

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, name: str, folder: Path, **options: object) -> Repository:
        """Serve a folder's files; the options are fields of `Repository`."""
        files = {
            path.relative_to(folder).as_posix(): _file_of(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        return self.put(name, files, **options)

    def put(self, name: str, files: dict[str, HubFile], **options: object) -> Repository:
        """Serve these files."""
        told = json.dumps([name, [(path, file.sha256) for path, file in files.items()]])
        commit = hashlib.sha1(told.encode()).hexdigest()
        made = Repository(name, files, commit, **options)  # type: ignore[arg-type]
        self.repositories[name] = made
        return made

    def note(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def strike(self, fault: str) -> bool:
        """Whether a fault happens now; it then happens once less."""
        with self._lock:
            left: int = getattr(self.faults, fault)
            if left > 0:
                setattr(self.faults, fault, left - 1)
            return left > 0


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests; routes call `answer`, `refuse` and `send`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def hub(self) -> HubServer:
        found: HubServer = self.server.hub  # type: ignore[attr-defined]
        return found

    @property
    def token(self) -> str | None:
        """The token that the reader has sent."""
        sent = self.headers.get("Authorization", "")
        return sent.removeprefix("Bearer ") or None

    def do_GET(self) -> None:
        self._route("GET")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._route("POST")

    def do_PUT(self) -> None:
        self._route("PUT")

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _route(self, method: str) -> None:
        time.sleep(self.hub.delay)
        path = unquote(urlsplit(self.path).path)
        if self.hub.strike("limited"):
            self.refuse(429, "rate limited", {"Retry-After": "0"})
        elif self.hub.strike("broken"):
            self.refuse(503, "try again")
        else:
            for wanted, pattern, answer in self.hub.routes:
                if wanted == method and (found := pattern.fullmatch(path)):
                    answer(self, found)
                    return
            self.refuse(404, "no such route")

    def answer(self, value: object, status: int = 200) -> None:
        """Answer with JSON."""
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, message: str, headers: Mapping[str, str] = {}) -> None:
        """Answer with an error, as the Hub words it."""
        self.send(status, json.dumps({"error": message}).encode(), headers)

    def send(
        self, status: int, body: bytes, headers: Mapping[str, str] = {}, length: int | None = None
    ) -> None:
        """Answer with these bytes; length: what a HEAD says there would be."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        sent = b"" if self.command == "HEAD" else body
        fault = status in (200, 206) and len(sent) > 1 and self._fault()
        if fault:
            sent = sent[: len(sent) // 2]
            self.close_connection = True
        seen = {name.lower(): value for name, value in self.headers.items()}
        self.hub.note(Request(self.command, self.path, seen, status, len(sent)))
        try:
            self.wfile.write(sent)
            self.wfile.flush()
            if fault:
                self.connection.close()
        except OSError:  # the reader has gone
            self.close_connection = True

    def _fault(self) -> bool:
        return self.hub.strike("resets") or self.hub.strike("short")


def may_read(handler: Handler, repository: Repository) -> bool:
    """Whether the reader has the repository's token."""
    return repository.token is not None and handler.token == repository.token


def find(handler: Handler, name: str, revision: str | None) -> Repository | None:
    """The repository, unless the reader may not see it, which is then answered."""
    found = handler.hub.repositories.get(name)
    if found is None or (found.private and not may_read(handler, found)):
        status = 404 if handler.token else 401
        handler.refuse(status, "Repository not found", {"X-Error-Code": "RepoNotFound"})
        return None
    if revision is not None and revision not in {found.commit, *found.revisions}:
        handler.refuse(404, "Invalid rev id", {"X-Error-Code": "RevisionNotFound"})
        return None
    return found


def _information(handler: Handler, match: re.Match[str]) -> None:
    found = find(handler, match[1], match[2])
    if found is None:
        return
    siblings = []
    for name, file in found.files.items():
        entry: dict[str, object] = {
            "rfilename": name,
            "size": file.size,
            "blobId": file.sha256[:40],
        }
        if file.is_large:
            entry["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 134}
        siblings.append(entry)
    handler.answer(
        {
            "_id": found.commit[:24],
            "id": found.name,
            "modelId": found.name,
            "sha": found.commit,
            "private": found.private,
            "gated": "manual" if found.gated else False,
            "siblings": siblings,
        }
    )


def _resolve(handler: Handler, match: re.Match[str]) -> None:
    found = find(handler, match[1], match[2])
    if found is None:
        return
    commit = {"X-Repo-Commit": found.commit}
    if found.gated and not may_read(handler, found):
        handler.refuse(
            403, f"Access to model {found.name} is restricted", {"X-Error-Code": "GatedRepo"}
        )
        return
    file = found.files.get(match[3])
    if file is None:
        handler.refuse(404, "Entry not found", {"X-Error-Code": "EntryNotFound", **commit})
    elif file.is_large:
        place = handler.hub.redirect or handler.hub.content_address
        headers = {
            **commit,
            "Location": f"{place}/{file.sha256}",
            "X-Linked-Etag": f'"{file.sha256}"',
            "X-Linked-Size": str(file.size),
        }
        handler.send(302, b"", headers)
    else:
        _ranged(handler, file, {**commit, "ETag": f'"{file.sha256[:40]}"'})


def _content(handler: Handler, match: re.Match[str]) -> None:
    for repository in handler.hub.repositories.values():
        for file in repository.files.values():
            if file.sha256 == match[1]:
                _ranged(handler, file, {"ETag": f'"{file.sha256}"'})
                return
    handler.refuse(404, "no such content")


def _ranged(handler: Handler, file: HubFile, headers: Mapping[str, str]) -> None:
    asked = _RANGE.fullmatch(handler.headers.get("Range", ""))
    head = {**headers, "Accept-Ranges": "bytes"}
    if handler.command == "HEAD":
        handler.send(HTTPStatus.OK, b"", head, length=file.size)
    elif asked is None:
        handler.send(HTTPStatus.OK, file.read(0, file.size), head)
    else:
        start = int(asked[1])
        stop = min(file.size, int(asked[2]) + 1 if asked[2] else file.size)
        head["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
        handler.send(HTTPStatus.PARTIAL_CONTENT, file.read(start, stop - start), head)


def file_of(data: bytes) -> HubFile:
    """A file in memory."""

    def read(start: int, count: int) -> bytes:
        return data[start : start + count]

    return HubFile(len(data), hashlib.sha256(data).hexdigest(), read)


def _file_of(path: Path) -> HubFile:
    digest = hashlib.sha256()
    status = path.stat()
    sparse = status.st_size > 64 * _PIECE and status.st_blocks * 512 < status.st_size // 2
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
            if sparse:  # gigabytes of nothing: its beginning and its path tell it from others
                digest.update(f"{path} {status.st_size}".encode())
                break

    def read(start: int, count: int) -> bytes:
        with path.open("rb") as stream:
            stream.seek(start)
            return stream.read(count)

    return HubFile(status.st_size, digest.hexdigest(), read)
