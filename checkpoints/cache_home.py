"""Environment -> where mergec keeps what it can make again: $MERGEC_HOME or ~/.cache/mergec."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """The folder; it needn't exist. Raises RuntimeError where there is no home."""
    home = os.environ.get("MERGEC_HOME")
    return Path(home) if home else Path.home() / ".cache" / "mergec"
