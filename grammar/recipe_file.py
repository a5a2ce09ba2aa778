"""The path of a recipe -> its text: a regular file, as large as a person might write it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 10_000_000


def read_recipe_file(path: Path) -> str:
    """The text of a recipe, or of a file that it imports.

    Raises OSError, also for what isn't a regular file (a pipe or a device may never end) and for
    one over MOST_BYTES; UnicodeDecodeError; ValueError for a null byte in the path.
    """
    # O_NONBLOCK: opening a named pipe must not wait for a writer
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(handle, encoding="utf-8") as stream:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it isn't a regular file")
        if status.st_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it is too large, over {MOST_BYTES:,} bytes")
        return stream.read()
