"""Functions of whole tensors: what they need of memory, and how they are kept reproducible.

A function that `on_whole` calls is decorated with `whole`, which says the bytes that it allocates
beside its arguments and results, so that the plan can promise its peak. Linear algebra adds up in
an order that depends on its number of threads: within such a function it has one.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, TypeAlias

Scratch: TypeAlias = Callable[[tuple[int, ...], int], int]
"""(shape of a tensor, number of tensor arguments) -> bytes."""

Function: TypeAlias = Callable[..., Sequence[Any]]

_lock = threading.Lock()
_inside = 0
_threads_outside = 1


def whole(scratch: Scratch) -> Callable[[Function], Function]:
    """Declare a function of whole tensors: it then runs without gradients, on one thread."""

    def decorate(function: Function) -> Function:
        @wraps(function)
        def run(*args: Any) -> Sequence[Any]:
            import torch

            with one_thread(), torch.no_grad():
                return function(*args)

        run.scratch = scratch  # type: ignore[attr-defined]
        return run

    return decorate


_M_MMAP_THRESHOLD = -3  # glibc's malloc.h
_LARGE = 2**20


def prepare() -> None:
    """Make a process ready for such functions: load torch, give freed matrices back at once.

    glibc keeps freed blocks of up to 32 MiB for what may come, in pieces that later matrices don't
    fit into: a run took twice the memory that it ever used.
    """
    import torch  # noqa: F401

    with suppress(AttributeError, OSError, TypeError):  # other C libraries have no such setting
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch, for all that are inside together; the last one out puts it back."""
    import torch

    global _inside, _threads_outside
    with _lock:
        if _inside == 0:
            _threads_outside = torch.get_num_threads()
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                torch.set_num_threads(_threads_outside)
