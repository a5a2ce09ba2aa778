"""What a run folder says of itself -> the tensors that are finished in it, as far as that holds.

A tensor counts if its line or its part's marker has the content key that the plan has now (a source
that was rewritten since gives another one) and if its shard is whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..compiler.planning.content_keys import Key
from ..compiler.planning.planned_output import PlannedOutput
from ..whole_files import write_whole
from .checksums import block_of
from .journal import MOST_BYTES, Finished, Record, journal_line, read_journal
from .run_folder import RunFolder, is_whole

Keys = Mapping[str, Key]


def read_record(folder: RunFolder, planned: PlannedOutput, keys: Keys) -> Record:
    """The finished tensors of a run folder; one that isn't there has none. Raises OSError."""
    if not folder.control.is_dir():
        return {}
    found = read_journal(folder.journal)
    for marker in sorted((folder.control / "done").glob("*.json")):
        found |= _read_marker(marker)
    shards = planned.layout.shards
    whole = [is_whole(folder.folder, shard) for shard in shards]
    slots = planned.layout.slots
    return {
        name: finished
        for name, finished in found.items()
        if finished.key == keys.get(name) and whole[slots[name].shard]
    }


def settle_record(folder: RunFolder, planned: PlannedOutput, keys: Keys) -> Record:
    """The same; what doesn't hold is forgotten for good, before its shard is made again."""
    record = read_record(folder, planned, keys)
    for marker in (folder.control / "done").glob("*.json"):
        if not _read_marker(marker).keys() <= record.keys():
            marker.unlink()
    lines = b"".join(journal_line(name, finished) for name, finished in record.items())
    if folder.journal.exists() or lines:
        write_whole(folder.journal, lines)
    return record


def marker_text(digest: str, files: Sequence[tuple[str, int]], tensors: Record) -> bytes:
    """A finished part's marker. digest: of the plan; files: names and sizes."""
    document = {
        "digest": digest,
        "files": [{"name": name, "size": size} for name, size in files],
        "tensors": {name: list(finished) for name, finished in tensors.items()},
    }
    return json.dumps(document).encode()


def _read_marker(path: Path) -> Record:
    """The tensors of a marker; none if it is damaged."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
            return {}
        tensors: Any = json.loads(path.read_bytes())["tensors"]
        found = {str(name): Finished(*row) for name, row in tensors.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return (
        found if all(block_of(finished.checksum) is not None for finished in found.values()) else {}
    )
