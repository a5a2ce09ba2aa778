"""Environment -> the folder of what mergec keeps between runs."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def home_folder() -> Path:
    """`$MERGEC_HOME`, else `~/.cache/mergec`. Raises OSError where there is no home."""
    if home := os.environ.get("MERGEC_HOME"):
        return Path(home).expanduser()
    try:
        return Path.home() / ".cache" / "mergec"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "there is no home folder", "~") from None
