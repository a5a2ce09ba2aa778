"""What must be on the disk -> is there: space reserved, files written whole, names flushed."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from ..grammar.diagnostics import MergecError, ResourceError, Span


def check_space(needs: Mapping[Path, int], span: Span | None = None) -> None:
    """Check that outputs of these sizes in bytes fit on their disks, all of them together.

    Errors: ResourceError E0501 that says what is needed and what is free.
    """
    by_disk: dict[int, tuple[Path, int]] = {}
    for path, nbytes in needs.items():
        above = next(above for above in Path(os.path.abspath(path)).parents if above.exists())
        disk = above.stat().st_dev
        first, total = by_disk.get(disk, (above, 0))
        by_disk[disk] = (first, total + nbytes)
    for above, total in by_disk.values():
        if shutil.disk_usage(above).free < total:
            raise no_space(above, total, span)


def no_space(folder: Path, needed: int, span: Span | None) -> MergecError:
    """The error for an output that doesn't fit."""
    free = shutil.disk_usage(folder).free
    need = f" needs {needed:,} bytes," if needed else ""
    return ResourceError.of(
        "E0501",
        f"not enough disk space: the output{need} {free:,} are free in {folder}",
        span=span,
        hint="free some space, or choose an output path on another disk",
    )


def allocate(path: Path, header: bytes, size: int) -> None:
    """A file that begins with a header, its space reserved. Raises OSError."""
    with path.open("wb") as stream:
        stream.write(header)
        stream.flush()
        try:
            os.posix_fallocate(stream.fileno(), 0, size)
        except AttributeError:  # macOS, Windows
            stream.truncate(size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            stream.truncate(size)


def flush_tree(folder: Path) -> None:
    """Bring the content and the names of all files to the disk itself. Raises OSError."""
    for above, _, names in os.walk(folder, topdown=False):
        for path in [*(Path(above, name) for name in names), Path(above)]:
            flush(path)


def flush_folders(folder: Path) -> None:
    """Bring the names of all files to the disk itself; what others wrote needn't be readable."""
    for above, _, _ in os.walk(folder):
        flush(Path(above))


def flush(path: Path) -> None:
    """Bring one file or folder to the disk itself. Raises OSError."""
    if path.is_dir() and sys.platform == "win32":
        return  # folders can't be opened there
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
