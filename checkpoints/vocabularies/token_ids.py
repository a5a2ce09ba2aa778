"""Ids in config.json and generation_config.json -> the same tokens' ids in another vocabulary."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from .vocabulary import Vocabulary

_ONE = ("_token_id", "_token_index")
_SEVERAL = ("_token_ids", "suppress_tokens")
_NESTED = ("bad_words_ids", "force_words_ids", "sequence_bias")
_PARTS = {"bos_token_id": "bos_token", "eos_token_id": "eos_token", "pad_token_id": "pad_token"}


def remap_ids(
    config: Mapping[str, Any], old: Vocabulary, new: Vocabulary
) -> tuple[dict[str, Any], list[str]]:
    """(a copy of the config with ids of the new vocabulary, keys whose token is in it no longer).

    A key that ends with `_token_id` holds an id or a list of them. The begin, the end and the
    padding that the new vocabulary lacks become its own; others are left out.
    """
    result, lost = copy.deepcopy(dict(config)), []
    texts = {number: token for token, number in old.tokens.items()}
    ids = {number: new.tokens.get(token) for number, token in texts.items()}
    pending = [result]
    while pending:
        part = pending.pop()
        for key, value in list(part.items()):
            if isinstance(value, dict):
                pending.append(value)
            elif value is not None and key.endswith((*_ONE, *_SEVERAL)):
                mapped = _mapped(value, ids)
                if mapped is None and key in _PARTS:
                    mapped = new.tokens.get(new.special.get(_PARTS[key], ""))
                if mapped is None:
                    lost.append(key)
                part[key] = mapped
            elif value and key in _NESTED:
                part[key] = None
                lost.append(key)
    return result, lost


def _mapped(value: object, ids: Mapping[int, int | None]) -> Any:
    """An id, or a list of them, in the new vocabulary; None where no token is left.

    An id that the old vocabulary doesn't know, as of a row that is padding, stays.
    """
    if isinstance(value, list):
        found = [ids.get(item, item) for item in value if isinstance(item, int)]
        return [item for item in found if item is not None] or None
    return ids.get(value, value) if isinstance(value, int) else value
