"""Environment -> the folder of what mergec keeps between runs."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def home_folder() -> Path:
    """`$MERGEC_HOME`, else `~/.cache/mergec`. Raises OSError where there is no home."""
    if home := os.environ.get("MERGEC_HOME"):
        return Path(home).expanduser()
    try:
        return Path.home() / ".cache" / "mergec"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "there is no home folder", "~") from None


def is_private(folder: Path) -> bool:
    """Whether only its owner, this user, may write to a folder. Raises OSError."""
    if not hasattr(os, "getuid"):  # Windows: homes are private there
        return True
    info = folder.stat()
    return info.st_uid == os.getuid() and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
