"""A folder -> one process at a time in it, by a lock that goes with the process.

The folder itself is locked: the lock stays with it when it is renamed, and ends when its holder
does, however that ends. Where the system has no such locks (some network file systems) nobody is
kept out; work there is kept apart by the folders' names.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

_NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class FolderLock:
    """The lock of a folder that exists when `acquire` is called."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None
        self.held = False

    def acquire(self) -> bool:
        """Lock it; False while another process holds it. Raises OSError.

        `held` is still False afterwards if the folder was renamed or removed just before.
        """
        try:
            handle = _open(self._folder)
        except FileNotFoundError:
            return True
        if handle is None:
            self.held = True
            return True
        try:
            if not _try_lock(handle):
                os.close(handle)
                return False
            same = self._folder.exists() and os.path.samestat(os.fstat(handle), self._folder.stat())
        except BaseException:
            os.close(handle)
            raise
        if same:
            self._handle, self.held = handle, True
        else:
            os.close(handle)
        return True

    def release(self) -> None:
        """Let others in."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle, self.held = None, False


def is_locked(folder: Path) -> bool:
    """Whether a process holds a folder's lock."""
    try:
        handle = _open(folder)
    except OSError:
        return False
    if handle is None:
        return False
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _open(folder: Path) -> int | None:
    """None on a system where folders can't be opened."""
    if sys.platform == "win32":
        return None
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _try_lock(handle: int) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
