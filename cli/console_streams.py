"""Standard streams that are closed or full -> a message, or nothing; never a traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import sys

from ..grammar.diagnostics import RunError

_NOT_WRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def check_streams() -> None:
    """Refuse to work for nobody: stdout must be open. Closed others are empty, and unread.

    With nothing in its place the next file that is opened would be stderr, and get what libraries
    print there. Errors: RunError E0603.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - until the end
    if sys.stdout is None:
        raise RunError.of("E0603", "can't write to stdout: it is closed")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end


def is_from_stdout(error: OSError) -> bool:
    """Whether printing has failed: whatever writes to files says so itself, and names them."""
    return error.filename is None and error.errno in _NOT_WRITTEN


def forget_stdout() -> None:
    """Drop what is still to be printed: the interpreter would complain about it at its end."""
    with contextlib.suppress(OSError, ValueError):  # not a real file, as in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
