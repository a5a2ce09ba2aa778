"""An output that is replaced -> what its user put beside it, carried into the new one.

What mergec wrote is listed in the old manifest. Everything else that has no namesake in the new
output is moved there: a model card, notes, a conversion to another format, whole subfolders.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

MANIFEST_NAME = "mergec.json"
CARD_NAME = "README.md"
LISTS_ALL_FILES = 2
"""The manifests' format version since which they list every file; before, they did the shards."""

_USUAL = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer*",
    "vocab.*",
    "merges.txt",
    "chat_template.*",
)
"""What is taken for mergec's where the manifest doesn't say."""


def files_below(folder: Path) -> Iterator[str]:
    """The paths of all files below a folder, relative to it, with `/` between their parts."""
    for above, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(above, name))]
        for name in [*names, *links]:
            yield (Path(above) / name).relative_to(folder).as_posix()


def carry_over(old: Path, new: Path) -> None:
    """Move what isn't mergec's from a replaced output to the one that took its place.

    A card that was edited is its editor's, and replaces the new one. Doing it again after a crash
    in between goes on where that stopped. Raises OSError.
    """
    if _is_edited(old):
        (old / CARD_NAME).replace(new / CARD_NAME)
    _move(old, new, {*_written(old), CARD_NAME}, "")


def _is_edited(old: Path) -> bool:
    """Whether an output's card isn't the one that mergec wrote."""
    if not (old / CARD_NAME).is_file():
        return False
    try:
        manifest = json.loads((old / MANIFEST_NAME).read_text(encoding="utf-8"))
        ours = str(manifest["card"]["sha256"])
    except (ValueError, KeyError, TypeError):
        return True
    return hashlib.sha256((old / CARD_NAME).read_bytes()).hexdigest() != ours


def of_a_model(folder: Path) -> str | None:
    """A file of a folder that belongs to a model rather than to a person; None if there is none."""
    patterns = (*_USUAL, "*.bin", "*.pt", "*.pth", "*.gguf", "*.ckpt")
    names = sorted(os.listdir(folder))
    return next((n for n in names if any(fnmatchcase(n, pattern) for pattern in patterns)), None)


def claim(folder: Path) -> None:
    """Give a folder of a person's own files a manifest that says so: all are carried over."""
    manifest = {"format_version": LISTS_ALL_FILES, "files": []}
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest) + "\n", encoding="utf-8")


def _written(old: Path) -> set[str]:
    """What is mergec's in an output, as its manifest says."""
    try:
        manifest = json.loads((old / MANIFEST_NAME).read_text(encoding="utf-8"))
        if manifest["format_version"] >= LISTS_ALL_FILES:
            return {MANIFEST_NAME, *(str(file["name"]) for file in manifest["files"])}
    except (ValueError, KeyError, TypeError):
        pass
    usual = (n for n in os.listdir(old) if any(fnmatchcase(n, pattern) for pattern in _USUAL))
    return {MANIFEST_NAME, *usual}


def _move(old: Path, new: Path, written: set[str], prefix: str) -> None:
    for entry in list(old.iterdir()):
        name, target = prefix + entry.name, new / entry.name
        if name in written:
            continue
        mixed = any(ours.startswith(f"{name}/") for ours in written)
        if not mixed and not os.path.lexists(target):
            new.mkdir(parents=True, exist_ok=True)
            entry.rename(target)
        elif entry.is_dir() and not entry.is_symlink() and not target.is_file():
            _move(entry, target, written, f"{name}/")
