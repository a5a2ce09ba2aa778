"""Planned output + its finished tensors -> mergec.json: what it was made of, and its checksums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..compiler.planning.lineage import Lineage
from ..compiler.planning.planned_output import NewFile, PlannedOutput
from ..whole_files import write_whole
from .carry import CARD_NAME, MANIFEST_NAME
from .journal import Record


def manifest(
    planned: PlannedOutput, lineage: Lineage, backend: str, record: Record
) -> dict[str, Any]:
    """The manifest of one output: recipe, resolved sources, versions. Plain data, no times.

    record: the key and the checksum of every tensor. The card isn't among the files: it is there to
    be edited.
    """
    files = {shard.name: shard.size for shard in planned.layout.shards}
    for file in planned.files:
        if file.name == CARD_NAME:
            continue
        files[file.name] = len(file.content) if isinstance(file, NewFile) else file.source.size
    return {
        **planned.facts,
        "backend": backend,
        "files": [{"name": name, "size": size} for name, size in sorted(files.items())],
        "made": lineage.to_json(),
        "keys": {name: record[name].key for name in planned.layout.slots},
        "checksums": {name: record[name].checksum for name in planned.layout.slots},
    }


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write a folder's manifest, all of it or nothing. Raises OSError."""
    write_whole(folder / MANIFEST_NAME, (json.dumps(facts, indent=2) + "\n").encode())
