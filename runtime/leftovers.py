"""A folder -> what interrupted runs have left in it or beside it, and its removal."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..grammar.diagnostics import ResourceError
from .carry import MANIFEST_NAME
from .folder_lock import FolderLock, is_locked
from .journal import MOST_BYTES, parse_journal
from .run_folder import CONTROL, folders_in, owner, run_folders


@dataclass(frozen=True)
class Leftover:
    """A run folder.

    busy: whether a process is at work in it, which is `owner` if that is known. tensors: finished
    in it; nbytes: what it takes on the disk.
    """

    path: Path
    busy: bool
    owner: int | None
    tensors: int
    nbytes: int


def find_leftovers(folder: Path) -> list[Leftover]:
    """The run folders beside an output, or among what a folder holds. Raises OSError."""
    found = run_folders(folder)
    if folder.is_dir() and not (folder / MANIFEST_NAME).exists():
        found += [path for _, path in folders_in(folder)]
    return [_leftover(path) for path in found]


def remove_leftover(left: Leftover) -> None:
    """Remove a run folder, unless somebody has begun to work in it. Errors: ResourceError E0502."""
    lock = FolderLock(left.path)
    try:
        if lock.acquire() and lock.held:
            shutil.rmtree(left.path)
    except OSError as error:
        message = f"can't remove {left.path}: {error.strerror}"
        raise ResourceError.of("E0502", message) from None
    finally:
        lock.release()


def _leftover(path: Path) -> Leftover:
    journal = path / CONTROL / "journal"
    tensors = 0
    if journal.is_file() and not journal.is_symlink() and journal.stat().st_size <= MOST_BYTES:
        tensors = len(parse_journal(journal.read_bytes())[0])
    nbytes = sum(
        os.lstat(os.path.join(above, name)).st_blocks * 512
        for above, _, names in os.walk(path)
        for name in names
    )
    return Leftover(path, is_locked(path), owner(path), tensors, nbytes)
