"""Room for recursion: a recipe's stages, and the files that it imports, may form a long chain.

Every link takes some frames. They are Python's own, which live on the heap: a higher limit is safe.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..grammar.diagnostics import RecipeError

_LIMIT = 100_000
_lock = threading.Lock()
_users: list[int] = []  # the limit that each one found: it is the interpreter's, not a thread's


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Raise Python's recursion limit. Errors: RecipeError E0109 where that isn't enough either."""
    with _lock:
        _users.append(_users[0] if _users else sys.getrecursionlimit())
        sys.setrecursionlimit(max(_users[0], _LIMIT))
    try:
        yield
    except RecursionError:
        raise RecipeError.of(
            "E0109",
            "this recipe's stages or imports form too long a chain",
            hint="save a stage in between, and merge the saved model",
        ) from None
    finally:
        with _lock:
            limit = _users.pop()
            if not _users:
                sys.setrecursionlimit(limit)
