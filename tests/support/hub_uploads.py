"""The Hub's routes that take uploads, beside `support.hub_server`: repositories and commits.

from support.hub_uploads import accept_uploads

with HubServer() as hub:
    uploads = accept_uploads(hub)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")

`uploads.commits` are the files of each commit, in order; `uploads.break_after` makes the server
answer every upload of a large file after so many with an error.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

from .hub_server import LARGE, Handler, HubFile, HubServer, Repository, file_of

TOKEN = "hf_tests"


@dataclass
class Uploads:
    """What was uploaded: large contents by their hash, commits as lists of names."""

    hub: HubServer
    contents: dict[str, HubFile] = field(default_factory=dict)
    commits: list[tuple[str, str, list[str]]] = field(default_factory=list)
    branches: dict[tuple[str, str], dict[str, HubFile]] = field(default_factory=dict)
    break_after: int | None = None
    taken: int = 0

    def files(self, name: str, revision: str) -> dict[str, HubFile]:
        """The files of a repository's branch."""
        if revision in ("main", self.hub.repositories[name].commit):
            return self.hub.repositories[name].files
        return self.branches.setdefault((name, revision), {})


def accept_uploads(hub: HubServer) -> Uploads:
    """Add the routes to a server."""
    uploads = Uploads(hub)

    def route(method: str, pattern: str, answer: Any) -> None:
        def answered(handler: Handler, match: re.Match[str]) -> None:
            if handler.token != TOKEN:
                handler.refuse(401, "Invalid username or password.")
            else:
                answer(uploads, handler, match)

        hub.routes.insert(0, (method, re.compile(pattern), answered))

    route("GET", r"/api/whoami-v2", _whoami)
    route("POST", r"/api/repos/create", _create)
    route("POST", r"/api/models/([^/]+/[^/]+)/branch/(.+)", _branch)
    route("POST", r"/api/validate-yaml", _validate)
    route("POST", r"/api/models/([^/]+/[^/]+)/preupload/(.+)", _preupload)
    route("POST", r"/api/models/([^/]+/[^/]+)/commit/(.+)", _commit)
    route("GET", r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?(.*)", _tree)
    route("POST", r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", _batch)
    hub.routes.insert(
        0, ("PUT", re.compile(r"/lfs/([0-9a-f]{64})"), lambda h, m: _put(uploads, h, m))
    )
    return uploads


def body(handler: Handler) -> bytes:
    """What a request sends, as one piece or in chunks."""
    if handler.headers.get("Transfer-Encoding") == "chunked":
        pieces = []
        while size := int(handler.rfile.readline().split(b";")[0], 16):
            pieces.append(handler.rfile.read(size))
            handler.rfile.readline()
        handler.rfile.readline()
        return b"".join(pieces)
    return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))


def _whoami(uploads: Uploads, handler: Handler, match: re.Match[str]) -> None:
    handler.answer({"name": "me", "type": "user", "orgs": [{"name": "org"}]})


def _validate(uploads: Uploads, handler: Handler, match: re.Match[str]) -> None:
    body(handler)
    handler.answer({"errors": [], "warnings": []})


def _create(uploads: Uploads, handler: Handler, match: re.Match[str]) -> None:
    asked = json.loads(body(handler))
    name = f"{asked.get('organization') or 'me'}/{asked['name']}"
    known = name in uploads.hub.repositories
    if not known:
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        uploads.hub.put(name, {}, private=private, token=TOKEN)
    place = f"{uploads.hub.endpoint}/{name}"
    handler.answer({"url": place, "id": name, "name": name}, 409 if known else 200)


def _branch(uploads: Uploads, handler: Handler, match: re.Match[str]) -> None:
    body(handler)
    repository = uploads.hub.repositories[match[1]]
    known = match[2] in repository.revisions
    repository.revisions.add(match[2])
    uploads.files(match[1], match[2]).update({} if known else repository.files)
    handler.answer({}, 409 if known else 200)


def _preupload(uploads: Uploads, handler: Handler, match: re.Match[str]) -> None:
    asked = json.loads(body(handler))
    known = uploads.files(match[1], match[2])
    handler.answer(
        {
            "files": [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["size"] > LARGE else "regular",
                    "shouldIgnore": False,
                    "oid": _oid(known.get(file["path"])),
                }
                for file in asked["files"]
            ]
        }
    )


def _oid(file: HubFile | None) -> str | None:
    return None if file is None else file.sha256


def _batch(uploads: Uploads, handler: Handler, match: re.Match[str]) -> None:
    asked = json.loads(body(handler))
    objects = []
    for wanted in asked["objects"]:
        entry: dict[str, Any] = dict(wanted)
        if wanted["oid"] not in uploads.contents:
            place = f"{uploads.hub.endpoint}/lfs/{wanted['oid']}"
            entry["actions"] = {"upload": {"href": place, "header": {}}}
        objects.append(entry)
    handler.answer({"transfer": "basic", "objects": objects})


def _put(uploads: Uploads, handler: Handler, match: re.Match[str]) -> None:
    data = body(handler)
    if uploads.break_after is not None and uploads.taken >= uploads.break_after:
        handler.refuse(400, "broken for a test")
        return
    uploads.taken += 1
    uploads.contents[match[1]] = file_of(data)
    handler.send(200, b"")


def _commit(uploads: Uploads, handler: Handler, match: re.Match[str]) -> None:
    files = uploads.files(match[1], match[2])
    names = []
    for line in body(handler).splitlines():
        entry = json.loads(line)
        value = entry["value"]
        if entry["key"] == "file":
            files[value["path"]] = file_of(base64.b64decode(value["content"]))
        elif entry["key"] == "lfsFile":
            files[value["path"]] = uploads.contents[value["oid"]]
        elif entry["key"] == "deletedFile":
            del files[value["path"]]
        if entry["key"] != "header":
            names.append(value["path"])
    uploads.commits.append((match[1], match[2], names))
    repository = uploads.hub.repositories[match[1]]
    oid = f"{len(uploads.commits):040x}"
    if match[2] == "main":
        repository.commit = oid
    place = f"{uploads.hub.endpoint}/{match[1]}/commit/{oid}"
    handler.answer({"success": True, "commitOid": oid, "commitUrl": place, "hookOutput": ""})


def _tree(uploads: Uploads, handler: Handler, match: re.Match[str]) -> None:
    if match[1] not in uploads.hub.repositories:
        handler.refuse(404, "Repository not found", {"X-Error-Code": "RepoNotFound"})
        return
    entries = []
    for name, file in sorted(uploads.files(match[1], match[2]).items()):
        entry: dict[str, Any] = {
            "type": "file",
            "path": name,
            "size": file.size,
            "oid": file.sha256[:40],
        }
        if file.size > LARGE:
            entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
        entries.append(entry)
    handler.answer(entries)


__all__ = ["TOKEN", "Repository", "Uploads", "accept_uploads"]
