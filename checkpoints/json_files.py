"""A small JSON file of a store, written by anyone -> the object in it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from ..grammar.diagnostics import CheckpointError
from .stores import Store, place_in, read_small

CONFIG_NAME = "config.json"
MOST_BYTES = 100_000_000
_MAX_NESTING = 50  # of a config: real ones have five levels, and others recurse over it


def read_json(store: Store, name: str, code: str, *, unique_keys: bool = False) -> dict[str, Any]:
    """A file that must hold one JSON object. Errors: CheckpointError with this code; E0603."""
    hook = _unique if unique_keys else None
    place = place_in(store, name)
    try:
        text = read_small(store, name, MOST_BYTES).decode("utf-8")
        content = json.loads(text, object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        raise CheckpointError.of(code, f"{place} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError.of(code, f"{place} doesn't hold a JSON object")
    return content


def read_config(store: Store, name: str = CONFIG_NAME) -> dict[str, Any]:
    """A model's config. Errors: CheckpointError E0316 for one that can't be read or used."""
    config = read_json(store, name, "E0316")
    level: list[Any] = [config]
    for _ in range(_MAX_NESTING):
        inner = [v.values() if isinstance(v, dict) else v for v in level]
        level = [v for values in inner for v in values if isinstance(v, dict | list)]
    if level:
        deep = f"{place_in(store, name)} is nested over {_MAX_NESTING} levels deep"
        raise CheckpointError.of("E0316", deep)
    return config


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {twice!a} occurs twice")
    return content
