"""An output's vocabulary and chat template -> the files of its tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .vocabulary import SETTINGS_NAME, TEMPLATE_NAME, TOKENIZER_NAME, Vocabulary

_ADDED_NAME = "added_tokens.json"
_COPIED = ("special_tokens_map.json",)
_OTHER_FORMS = ("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model")
"""The same model in the form that older programs read; they add what added_tokens.json lists."""


def tokenizer_files(vocabulary: Vocabulary, template: str | None = None) -> dict[str, bytes]:
    """The files of a tokenizer by name.

    template: the chat template; None for the one that it came with.
    """
    read = vocabulary.read
    files: dict[str, bytes] = {TOKENIZER_NAME: _compact(tokenizer_content(vocabulary))}
    settings = _settings(vocabulary, template is not None)
    if settings:
        files[SETTINGS_NAME] = _json(settings)
    if read(_ADDED_NAME) is not None:
        files[_ADDED_NAME] = _json({t.content: n for n, t in vocabulary.added.items()})
    for name in (*_COPIED, *(_OTHER_FORMS if _is_whole(vocabulary) else ())):
        if (data := read(name)) is not None:
            files[name] = data
    own = template.encode() if template is not None else read(TEMPLATE_NAME)
    if own is not None:
        files[TEMPLATE_NAME] = own
    return files


def tokenizer_content(vocabulary: Vocabulary) -> dict[str, Any]:
    """What tokenizer.json holds: the model as it was, and every added token."""
    entries = [token.entry(number) for number, token in sorted(vocabulary.added.items())]
    return {**vocabulary.content, "added_tokens": entries}


def _settings(vocabulary: Vocabulary, has_template: bool) -> dict[str, Any]:
    """tokenizer_config.json: true of the added tokens, without a template that a file replaces."""
    settings = dict(vocabulary.settings)
    if has_template:
        settings.pop("chat_template", None)
    if "added_tokens_decoder" in settings:
        settings["added_tokens_decoder"] = {
            str(number): {key: flag for key, flag in token.entry(number).items() if key != "id"}
            for number, token in vocabulary.added.items()
        }
    return settings


def _is_whole(vocabulary: Vocabulary) -> bool:
    """Whether the model still has every token that its own other files have."""
    return len(vocabulary.content["model"]["vocab"]) == vocabulary.model_tokens


def _compact(content: Mapping[str, Any]) -> bytes:
    """Without line breaks: half a million tokens take a fifth of the time."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
