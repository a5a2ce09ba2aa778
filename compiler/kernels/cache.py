"""Kernel source -> callable: compiled once, its object code kept on disk by the hash of its text.

An entry begins with the digest of its object code: one that doesn't match is compiled again.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

from .cache_folder import cache_folder, nowhere, temporary_folder, writable_folder
from .native import NativeKernel, compile_kernel, processor
from .source import KernelSource

_DIGEST_SIZE = hashlib.sha256().digest_size
_found: dict[str, NativeKernel] = {}
_lock = threading.Lock()


def kernel_digest(source: KernelSource) -> str:
    """The name of a kernel: a hash of its text and of everything that compiles it."""
    return hashlib.sha256(b"\0".join([source.text.encode(), *_toolchain()])).hexdigest()[:24]


@cache
def _toolchain() -> tuple[bytes, ...]:
    """What compiles kernels, and for which processor."""
    folder = Path(__file__).parent
    helpers = ("arguments.py", "lane_blocks.py", "intrinsics.py", "native.py", "words.py")
    versions = [version(name).encode() for name in ("numba", "llvmlite")]
    host = [text.encode() for text in processor()]
    return *[(folder / name).read_bytes() for name in helpers], *versions, *host


def is_cached(source: KernelSource) -> bool:
    """Whether the kernel needn't be compiled."""
    digest = kernel_digest(source)
    if digest in _found:
        return True
    try:
        return _entry(cache_folder(), digest).is_file()
    except OSError:  # there can't be a cache
        return False


def find_kernel(source: KernelSource) -> NativeKernel:
    """The compiled kernel of a source text; compiling one takes a second or two.

    Errors: ResourceError E0520 (others could plant code), E0502 (nowhere to put what is compiled).
    """
    digest = kernel_digest(source)
    with _lock:
        if digest not in _found:
            _found[digest] = NativeKernel(_object_code(source, digest), source)
        return _found[digest]


def _object_code(source: KernelSource, digest: str) -> bytes:
    try:
        return _from_folder(writable_folder(), source, digest)
    except OSError as error:
        folder = temporary_folder(error)
    try:
        return _from_folder(folder, source, digest)
    except OSError as error:
        raise nowhere(error) from None


def _from_folder(folder: Path, source: KernelSource, digest: str) -> bytes:
    entry = _entry(folder, digest)
    code = _read(entry)
    if code is None:
        with _alone(folder / f".{digest}.lock"):
            code = _read(entry)  # as it is when another process has compiled it meanwhile
            if code is None:
                code = compile_kernel(source)
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
    partial = entry.with_name(f".{entry.name}.{os.getpid()}")
    partial.write_bytes(hashlib.sha256(code).digest() + code)
    partial.replace(entry)


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
