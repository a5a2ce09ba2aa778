"""Content -> a file that is there with all of it, or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_whole(path: Path, content: bytes, *, shared: bool = False) -> None:
    """Write a file beside its place and rename it there; what is left of a failure is removed.

    shared: other processes and threads may write the file at the same time, so that each needs a
    partial file of its own; otherwise one that a kill has left is written over by the next try.
    Raises OSError.
    """
    own = f"-{os.getpid()}-{threading.get_ident()}" if shared else ""
    partial = path.with_name(f".{path.name}.mergec-partial{own}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
