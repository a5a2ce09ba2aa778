"""Environment -> the folder of compiled kernels: a lasting one, or a temporary one without it.

Kernels are code: the folder must be one that only its owner may write to. Where none can be kept,
because the home is missing or read-only, or its disk full, they last as long as the process.
"""

from __future__ import annotations

import errno
import logging
import os
import tempfile
from pathlib import Path

from ..grammar.diagnostics import Diagnostic, MergecError, ResourceError
from ..home import home_folder, is_private

_temporary: list[tempfile.TemporaryDirectory[str]] = []  # at most one, removed at exit


def cache_folder() -> Path:
    """Where compiled kernels are kept: `$MERGEC_HOME/kernels`, else `~/.cache/mergec/kernels`.

    Raises OSError where there is no home.
    """
    if _temporary:
        return Path(_temporary[0].name)
    return home_folder() / "kernels"


def writable_folder() -> Path:
    """The folder, made if need be. Raises OSError if it can't be written to.

    Errors: ResourceError E0522 if others could plant code in it.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not is_private(folder):
        raise ResourceError.of(
            "E0522",
            f"the kernel cache {folder} can be written by others",
            hint=f"chmod 700 {folder}, or set MERGEC_HOME to a folder of your own",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    return folder


def temporary_folder(problem: OSError) -> Path:
    """A folder for this process alone, from now on; warns why, the first time.

    Errors: ResourceError E0502 if that can't be had either.
    """
    if _temporary:  # it is the one with the problem
        raise nowhere(problem)
    place = _place(problem)
    try:
        made = tempfile.TemporaryDirectory(prefix="mergec-kernels-", ignore_cleanup_errors=True)
    except OSError as error:
        raise nowhere(error) from None
    _temporary.append(made)
    message = (
        f"can't keep compiled kernels in {place}: {problem.strerror}; "
        f"they are in {made.name} until the end of this run, MERGEC_HOME can name another folder"
    )
    logging.getLogger("mergec").warning(str(Diagnostic("W0502", message)))
    return Path(made.name)


def is_lasting() -> bool:
    """Whether kernels are kept for later runs, as far as is known."""
    return not _temporary


def _place(problem: OSError) -> str:
    """What to call the cache that there can't be."""
    try:
        return str(cache_folder())
    except OSError:
        return str(problem.filename)


def nowhere(error: OSError) -> MergecError:
    """What to raise where kernels can't even be compiled into a temporary folder."""
    return ResourceError.of(
        "E0502",
        f"there is no place to compile kernels: {error.strerror}",
        hint="set MERGEC_HOME or TMPDIR to a folder with space that you may write to",
    )
