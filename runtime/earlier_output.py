"""An output that is there already -> which of a plan's tensors it holds, and their bytes.

What its manifest says holds only for files that nobody has touched since it was written: of others
a tensor is read, and taken if its checksum is the recorded one.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoints.checkpoint import Checkpoint, open_checkpoint
from ..checkpoints.local_store import LocalStore
from ..checkpoints.source_tensors import Extent
from ..compiler.planning.planned_output import PlannedOutput
from ..grammar.diagnostics import CheckpointError
from .carry import MANIFEST_NAME
from .checksums import block_of, matches
from .journal import Finished, Record
from .run_folder import is_whole

MOST_MANIFEST_BYTES = 2**30
_PIECE = 8 * 2**20
_CANNOT = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EPERM)


@dataclass(frozen=True)
class Place:
    """Where a tensor's bytes lie."""

    path: Path
    offset: int
    nbytes: int


@dataclass(frozen=True, eq=False)
class EarlierOutput:
    """An output that mergec made.

    tensors: what its manifest says of each, as far as its files hold them; places: where they are.
    touched: the files that were written after the manifest.
    """

    path: Path
    manifest: Mapping[str, Any]
    tensors: Record
    places: Mapping[str, Place]
    touched: frozenset[Path]

    def has(self, name: str, key: str) -> bool:
        """Whether it holds a tensor of this key."""
        found = self.tensors.get(name)
        return found is not None and found.key == key

    def copy(self, name: str, to: int, offset: int) -> Finished | None:
        """Copy a tensor's bytes to a place of an open file; None if they aren't what they were.

        to: the file's descriptor. Raises OSError.
        """
        place, finished = self.places[name], self.tensors[name]
        handle = os.open(place.path, os.O_RDONLY)
        try:
            if place.path in self.touched:

                def read(start: int, room: memoryview) -> None:
                    _fill(handle, place.offset + start, room)

                if not matches(finished.checksum, read, place.nbytes):
                    return None
            _copy(handle, place.offset, to, offset, place.nbytes)
            return finished
        finally:
            os.close(handle)


def read_earlier(path: Path) -> EarlierOutput | None:
    """The output at a path; None where there is none of mergec's that can be used."""
    real = Path(os.path.realpath(path))
    try:
        kept = (real / MANIFEST_NAME).stat()
        if kept.st_size > MOST_MANIFEST_BYTES:
            return None
        manifest = json.loads((real / MANIFEST_NAME).read_bytes())
        keys, checksums = manifest["keys"], manifest["checksums"]
        checkpoint = open_checkpoint(LocalStore(real))
        names = {file.name for file in checkpoint.files}
        changed = {n for n in names if (real / n).stat().st_mtime_ns > kept.st_mtime_ns}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, CheckpointError):
        return None
    if not isinstance(keys, dict) or not isinstance(checksums, dict):
        return None
    tensors = {
        name: Finished(keys[name], checksums[name])
        for name in checkpoint.tensors
        if block_of(checksums.get(name)) is not None and isinstance(keys.get(name), str)
    }
    places = {name: place for name, place in _places(real, checkpoint) if name in tensors}
    return EarlierOutput(real, manifest, tensors, places, frozenset(real / n for n in changed))


def _places(folder: Path, checkpoint: Checkpoint) -> Iterator[tuple[str, Place]]:
    for name, tensor in checkpoint.tensors.items():
        if isinstance(tensor, Extent):
            yield name, Place(folder / tensor.file.name, tensor.offset, tensor.nbytes)


def is_unchanged(earlier: EarlierOutput, planned: PlannedOutput, keys: Mapping[str, str]) -> bool:
    """Whether an output is already all that is planned, but perhaps for what its manifest tells."""
    if earlier.touched or earlier.manifest.get("keys") != dict(keys):
        return False
    if not all(is_whole(earlier.path, shard) for shard in planned.layout.shards):
        return False
    try:
        return all(
            (earlier.path / file.name).read_bytes() == file.content for file in planned.files
        )
    except OSError:
        return False


def _copy(source: int, start: int, to: int, offset: int, count: int) -> None:
    """Bytes from file to file: by the system, which shares blocks where it can, else by hand."""
    done = 0
    by_system = hasattr(os, "copy_file_range")
    room = memoryview(bytearray(0))
    while done < count:
        if by_system:
            try:
                got = os.copy_file_range(source, to, count - done, start + done, offset + done)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                got = 0
            by_system = got > 0
            done += got
            continue
        if not room:
            room = memoryview(bytearray(_PIECE))
        piece = room[: min(_PIECE, count - done)]
        _fill(source, start + done, piece)
        written = 0
        while written < len(piece):
            written += os.pwrite(to, piece[written:], offset + done + written)
        done += len(piece)


def _fill(handle: int, start: int, room: memoryview) -> None:
    done = 0
    while done < len(room):
        got = os.preadv(handle, [room[done:]], start + done)
        if got == 0:
            raise OSError(errno.EIO, "the file ends early")
        done += got
