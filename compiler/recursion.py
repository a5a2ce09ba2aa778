"""Room for recursion: a recipe's stages, and the files that it imports, may form a long chain.

Every link takes some frames. Python's own live on the heap, but those of libraries written in C
(the JSON parser, deep copies) lie on the thread's stack: what recurses deeply runs on a thread
whose stack is large enough for the limit.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from ..grammar.diagnostics import RecipeError

_LIMIT = 100_000
_STACK = 2**29
"""Bytes of address space, of which only what is used becomes memory: 5 KiB a level."""

_NAME = "mergec-deep"
_lock = threading.Lock()
_users: list[int] = []  # the limit that each one found: it is the interpreter's, not a thread's

_F = TypeVar("_F", bound=Callable[..., Any])


def deep_recursion() -> Callable[[_F], _F]:
    """Give a function a high recursion limit, and the stack for it.

    Errors: RecipeError E0109 where that isn't enough either.
    """

    def decorate(function: _F) -> _F:
        @wraps(function)
        def run(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread().name == _NAME:
                return function(*arguments, **options)
            return _run_deep(lambda: function(*arguments, **options))

        return cast(_F, run)

    return decorate


def _run_deep(action: Callable[[], Any]) -> Any:
    """Its result, or what it raises."""
    ended: list[tuple[Any, BaseException | None]] = []

    def work() -> None:
        try:
            ended.append((action(), None))
        except BaseException as error:
            ended.append((None, error))

    _raise_limit()
    try:
        thread = threading.Thread(target=work, name=_NAME, daemon=True)
        if _start(thread):
            thread.join()
        else:
            work()
    finally:
        _restore_limit()
    result, error = ended[0]
    if isinstance(error, RecursionError):
        raise RecipeError.of(
            "E0109",
            "this recipe's stages or imports form too long a chain",
            hint="save a stage in between, and merge the saved model",
        ) from None
    if error is not None:
        raise error
    return result


def _start(thread: threading.Thread) -> bool:
    """Start a thread with a large stack; False where the system has no room for one."""
    with _lock:
        before = threading.stack_size(_STACK)
        try:
            thread.start()
        except RuntimeError:
            sys.setrecursionlimit(_users[0])  # the stack at hand is as large as it is
            return False
        finally:
            threading.stack_size(before)
    return True


def _raise_limit() -> None:
    with _lock:
        _users.append(_users[0] if _users else sys.getrecursionlimit())
        sys.setrecursionlimit(max(_users[0], _LIMIT))


def _restore_limit() -> None:
    with _lock:
        limit = _users.pop()
        if not _users:
            sys.setrecursionlimit(limit)
