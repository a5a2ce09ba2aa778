"""Kernel source -> callable: compiled once by numba, kept on disk by the hash of its text.

Each entry of the cache is checked against the digest that was taken when it was compiled before
numba loads it, and recompiled where it doesn't match.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from .cache_folder import cache_folder, nowhere, temporary_folder, writable_folder
from .source import Source

Kernel: TypeAlias = Callable[..., None]

_DIGESTS = "digests.json"
_loaded: dict[str, Kernel] = {}
_lock = threading.Lock()


def kernel_digest(source: Source) -> str:
    """The name of a kernel: a hash of its text and of everything that compiles it."""
    return hashlib.sha256(b"\0".join([source.text.encode(), *_toolchain()])).hexdigest()[:24]


@cache
def _toolchain() -> tuple[bytes, ...]:
    """What compiles kernels, and for which processor."""
    import llvmlite.binding
    import numba

    folder = Path(__file__).parent
    helpers = b"".join(
        (folder / name).read_bytes() for name in ("blocks.py", "intrinsics.py", "words.py")
    )
    processor = llvmlite.binding.get_host_cpu_name()
    return helpers, numba.__version__.encode(), processor.encode()


def is_cached(source: Source) -> bool:
    """Whether the kernel needn't be compiled."""
    digest = kernel_digest(source)
    if digest in _loaded:
        return True
    try:
        return (cache_folder() / digest / _DIGESTS).is_file()
    except OSError:  # there can't be a cache
        return False


def load_kernel(source: Source) -> Kernel:
    """The compiled kernel of a source text; compiling one takes a second or two.

    Errors: ResourceError E0520 (others could plant code), E0502 (nowhere to put what is compiled).
    """
    digest = kernel_digest(source)
    with _lock:
        if digest not in _loaded:
            _loaded[digest] = _load(source, digest)
        return _loaded[digest]


def _load(source: Source, digest: str) -> Kernel:
    try:
        return _load_from(writable_folder(), source, digest)
    except OSError as error:
        folder = temporary_folder(error)
    try:
        return _load_from(folder, source, digest)
    except OSError as error:
        raise nowhere(error) from None


def _load_from(cached: Path, source: Source, digest: str) -> Kernel:
    folder = cached / digest
    if _intact(folder):
        return _import(folder / "kernel.py", digest)
    with _alone(folder.with_name(f".{digest}.lock")):
        if not _intact(folder):  # as it is when another process has built it meanwhile
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
            (folder / "kernel.py").write_text(source.text, encoding="utf-8")
            kernel = _import(folder / "kernel.py", digest)
            _seal(folder)
            return kernel
    return _import(folder / "kernel.py", digest)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Be the only process that builds an entry; a lock ends with its process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes may build one entry, and the second rebuilds it
        yield
        return
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _use_wide_vectors() -> None:
    """Let the compiler use the widest vectors there are: kernels run twice as fast with them.

    LLVM avoids 512-bit vectors on processors that have them, for the sake of code that uses them
    now and then. It changes no bits. Nothing is done where numba has compiled something already.
    """
    import llvmlite.binding
    from numba.core import config as numba_config

    config: Any = numba_config

    if config.CPU_FEATURES is None and config.CPU_NAME is None:
        features = llvmlite.binding.get_host_cpu_features().flatten()
        config.CPU_NAME = llvmlite.binding.get_host_cpu_name()
        config.CPU_FEATURES = f"{features},-prefer-256-bit"


def _import(path: Path, digest: str) -> Kernel:
    _use_wide_vectors()
    spec = importlib.util.spec_from_file_location(f"mergec_kernel_{digest}", path)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # numba looks the module up by name when it loads an entry
    try:
        spec.loader.exec_module(module)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        raise OSError(errno.EIO, "no room for what numba compiles", str(path)) from None
    kernel: Kernel = module.sweep
    return kernel


def _entries(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != _DIGESTS)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _entries(folder)
    }


def _seal(folder: Path) -> None:
    """Record what was compiled; until then the entry doesn't count as cached."""
    partial = folder / f".{_DIGESTS}.{os.getpid()}"
    partial.write_text(json.dumps(_digests(folder)), encoding="utf-8")
    partial.replace(folder / _DIGESTS)


def _intact(folder: Path) -> bool:
    try:
        recorded = json.loads((folder / _DIGESTS).read_text(encoding="utf-8"))
        return bool(recorded) and recorded == _digests(folder)
    except (OSError, ValueError):
        return False
