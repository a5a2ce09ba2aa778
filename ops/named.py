"""`module:function` -> the function: how traces, which are plain data, refer to code."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def named_function(path: str) -> Callable[..., Any]:
    """The function that a `host`, `rows` or `whole` primitive names."""
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
