"""A plan's sources -> RECIPE.lock: which files they were; and whether they still are.

A file is named by its revision's content: size and SHA-256. So that nothing is read again in vain,
the lock also keeps a digest of the file's identity on the machine that made it: where that is still
the same, so is the content.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ..checkpoints.stores import StoredFile
from ..compiler.planning.plan import Plan
from ..grammar.diagnostics import CheckpointError, Diagnostic, RunError
from ..grammar.recipe_file import read_recipe_file
from ..whole_files import write_whole

SUFFIX = ".lock"
FORMAT = "mergec-lock"
FORMAT_VERSION = 1
_PIECE = 8 * 2**20
_LISTED = 8


def write_lock(plan: Plan, path: Path) -> None:
    """Lock the sources as they are now. Errors: RunError E0603, E0605."""
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sources": {
            reference: {
                "revision": checkpoint.revision,
                "files": [
                    {
                        "name": file.name,
                        "size": file.size,
                        "sha256": _sha256(file),
                        "seen": _seen(file),
                    }
                    for file in checkpoint.files
                ],
            }
            for reference, checkpoint in plan.sources.items()
        },
    }
    try:
        write_whole(path, (json.dumps(document, indent=2) + "\n").encode())
    except OSError as error:
        raise RunError.of("E0603", f"can't write {path}: {error.strerror}") from None


def check_lock(plan: Plan, path: Path) -> None:
    """Refuse sources that aren't those of a lock file. Errors: RunError E0656, E0657."""
    locked = _read(path)
    differing = []
    for reference, checkpoint in plan.sources.items():
        wanted = locked.get(reference)
        if wanted is None:
            said: str | None = "it isn't locked"
        elif wanted["revision"] != checkpoint.revision:
            said = f"it is revision {checkpoint.revision}, locked is {wanted['revision']}"
        else:
            said = _difference(checkpoint.files, wanted)
        if said is not None:
            differing.append(f"{reference}: {said}")
    if differing:
        more = len(differing) - _LISTED
        raise RunError(
            [
                Diagnostic(
                    "E0656",
                    f"{len(differing)} of the sources aren't those of {path.name}",
                    notes=(*differing[:_LISTED], *((f"… and {more} more",) if more > 0 else ())),
                    hint="`--update-lock` locks them as they are now",
                )
            ]
        )


def _difference(files: tuple[StoredFile, ...], wanted: dict[str, Any]) -> str | None:
    """What of a source's files isn't as it was locked; None if nothing is."""
    locked = {entry["name"]: entry for entry in wanted["files"]}
    if names := {file.name for file in files} ^ locked.keys():
        return f"{sorted(names)[0]} is in one of the two only"
    for file in files:
        entry = locked[file.name]
        if file.size != entry["size"]:
            return f"{file.name} has {file.size:,} bytes, had {entry['size']:,}"
        if _seen(file) != entry["seen"] and _sha256(file) != entry["sha256"]:
            return f"{file.name} has other content"
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_recipe_file(path))
        sources = document["sources"]
        known = document["format"] == FORMAT and document["format_version"] == FORMAT_VERSION
        for source in sources.values():
            known = known and "revision" in source
            for entry in source["files"]:
                known = known and {"name", "size", "sha256", "seen"} <= entry.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError.of("E0657", f"{path} isn't a lock file: {error}") from None
    if not known:
        raise RunError.of("E0657", f"{path} isn't a lock file of this version")
    return dict(sources)


def _seen(file: StoredFile) -> str:
    return hashlib.blake2b(repr(file.identity).encode(), digest_size=16).hexdigest()


def _sha256(file: StoredFile) -> str:
    """Of all of a file's bytes; where its store knows that, it isn't read."""
    if file.identity[0] == "blob":
        return str(file.identity[1])
    found = hashlib.sha256()
    try:
        opened = file.open()
    except CheckpointError as error:
        raise RunError.of("E0605", error.diagnostics[0].message) from None
    try:
        room = memoryview(bytearray(min(_PIECE, max(1, file.size))))
        for start in range(0, file.size, _PIECE):
            piece = room[: min(_PIECE, file.size - start)]
            opened.read(start, piece)
            found.update(piece)
    finally:
        opened.close()
    return found.hexdigest()
