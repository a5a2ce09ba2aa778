"""The Hugging Face cache: which revisions of which models are in it, and where.

It is only read here, by its documented layout: `models--org--name/refs` holds commits by branch or
tag, `snapshots/COMMIT` the files. What is fetched goes through the Hub's own client.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ...grammar.diagnostics import ResourceError

_COMMIT = re.compile(r"[A-Za-z0-9_][\w.-]*", re.A)
COMMIT_LENGTH = 40
_HEX = set("0123456789abcdef")


def hub_cache() -> Path:
    """The cache's folder, by the environment variables that its library honours."""
    environment = os.environ
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if folder := environment.get(name):
            return Path(folder).expanduser()
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or os.path.join(caches, "huggingface")
    return Path(home).expanduser() / "hub"


def repository_folder(repo: str) -> Path:
    """Where a model is kept, if it is."""
    return hub_cache() / f"models--{repo.replace('/', '--')}"


def snapshot(repo: str, revision: str | None) -> Path | None:
    """The folder of a branch, a tag, a commit or a commit's beginning, if the cache has it."""
    repository = repository_folder(repo)
    ref = repository / "refs" / (revision or "main")
    commit = ref.read_text("utf-8").strip() if ref.is_file() else revision
    if commit is None or not _COMMIT.fullmatch(commit):
        return None
    exact = repository / "snapshots" / commit
    if exact.is_dir() or len(commit) < 7 or len(commit) >= COMMIT_LENGTH:
        return exact if exact.is_dir() else None
    matches = [e for e in entries(repository / "snapshots") if e.name.startswith(commit)]
    return matches[0] if len(matches) == 1 else None


def mirrored_commit(folder: Path) -> str | None:
    """The commit that a folder was downloaded at, if the Hub's client has noted that there."""
    notes = entries(folder / ".cache" / "huggingface" / "download")
    for note in notes:
        if note.suffix == ".metadata":
            try:
                commit = note.read_text("utf-8").split("\n")[0].strip()
            except (OSError, UnicodeDecodeError):
                continue
            if len(commit) == COMMIT_LENGTH and not set(commit) - _HEX:
                return commit
    return None


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a commit or the beginning of one, rather than a branch or a tag."""
    return revision is not None and 7 <= len(revision) <= COMMIT_LENGTH and not set(revision) - _HEX


def cached_repositories() -> Iterator[str]:
    """The names of the models in the cache."""
    for entry in entries(hub_cache()):
        if entry.name.startswith("models--"):
            yield entry.name.removeprefix("models--").replace("--", "/", 1)


def entries(folder: Path) -> list[Path]:
    """What is in a folder; nothing where it can't be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:  # not there, not a folder, not ours to read: it can't help with a hint
        return []


def free_bytes(folder: Path) -> int:
    """What the disk of a folder has room for, whether the folder is there yet or not."""
    places = (folder.absolute(), *folder.absolute().parents)
    above = next(place for place in places if place.exists())
    return shutil.disk_usage(above).free


def check_room(needed: int) -> None:
    """Refuse to fetch more than the cache's disk holds. Errors: ResourceError E0634."""
    free = free_bytes(hub_cache())
    if needed > free:
        raise ResourceError.of(
            "E0634",
            f"{needed:,} bytes are to be fetched into {hub_cache()}, {free:,} are free there",
            hint="free some, let HF_HOME name another disk, or keep no copy: --stream",
        )
