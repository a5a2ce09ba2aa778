"""Name + IR -> callables: compiled once, the object code kept on disk.

Whoever asks names the code by a digest of all that it depends on; what compiles it, and for which
processor, is added here. An entry begins with the digest of its object code: one that doesn't match
is compiled again.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..whole_files import write_whole
from .cache_folder import cache_folder, nowhere, temporary_folder, writable_folder

_DIGEST_SIZE = hashlib.sha256().digest_size
_found: dict[str, Any] = {}
_locks: dict[str, threading.Lock] = {}


def code_digest(*parts: str | bytes) -> str:
    """The name of code that depends on these parts, on this machine."""
    named = (part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(b"\0".join([*named, *_toolchain()])).hexdigest()[:24]


@cache
def _toolchain() -> tuple[bytes, ...]:
    """What compiles, and for which processor."""
    from .target import this_processor

    own = [(Path(__file__).parent / name).read_bytes() for name in ("target.py", "writing.py")]
    host = this_processor()
    return *own, version("llvmlite").encode(), host.name.encode(), host.features.encode()


def is_compiled(digest: str) -> bool:
    """Whether code needn't be compiled."""
    if digest in _found:
        return True
    try:
        return _entry(cache_folder(), digest).is_file()
    except OSError:  # there can't be a cache
        return False


def find_code(digest: str, write: Callable[[], str]) -> Any:
    """An engine that gives the addresses of the code's functions; `write` gives it as IR.

    Compiling takes tenths of a second, and is done by one thread and one process for each name.
    Errors: ResourceError E0522 (others could plant code), E0502 (nowhere to put what is compiled).
    """
    from .target import engine

    with _locks.setdefault(digest, threading.Lock()):
        if digest not in _found:
            _found[digest] = engine(_object_code(digest, write))
        return _found[digest]


def _object_code(digest: str, write: Callable[[], str]) -> bytes:
    try:
        return _from_folder(writable_folder(), digest, write)
    except OSError as error:
        folder = temporary_folder(error)
    try:
        return _from_folder(folder, digest, write)
    except OSError as error:
        raise nowhere(error) from None


def _from_folder(folder: Path, digest: str, write: Callable[[], str]) -> bytes:
    from .target import object_code, this_processor

    entry = _entry(folder, digest)
    code = _read(entry)
    if code is None:
        with _alone(folder / f".{digest}.lock"):
            code = _read(entry)  # as it is when another process has compiled it meanwhile
            if code is None:
                code = object_code(write(), this_processor())
                _write(entry, code)
    return code


def _entry(folder: Path, digest: str) -> Path:
    return folder / f"{digest}.kernel"


def _read(entry: Path) -> bytes | None:
    """The object code of an entry; None of one that isn't there or isn't intact."""
    try:
        data = entry.read_bytes()
    except FileNotFoundError:
        return None
    code = data[_DIGEST_SIZE:]
    return code if hashlib.sha256(code).digest() == data[:_DIGEST_SIZE] else None


def _write(entry: Path, code: bytes) -> None:
    write_whole(entry, hashlib.sha256(code).digest() + code, shared=True)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Be the only process that compiles; a lock ends with its process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes may compile one kernel
        yield
        return
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
