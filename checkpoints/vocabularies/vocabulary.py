"""A checkpoint's tokenizer.json and tokenizer_config.json -> a Vocabulary: tokens, ids, specials.

Only JSON is read: a tokenizer of 150,000 tokens takes a tenth of a second that way, and nothing of
it is run. Slow tokenizers (`tokenizer.model`, `vocab.txt`) must be converted first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from ...grammar.diagnostics import CheckpointError, Span
from ..stores import Store, read_small

TOKENIZER_NAME = "tokenizer.json"
SETTINGS_NAME = "tokenizer_config.json"
TEMPLATE_NAME = "chat_template.jinja"
_SPECIAL_MAP = "special_tokens_map.json"
_OTHER_FORMATS = ("tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json")
_MOST_BYTES = 500_000_000
SPECIAL_KEYS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)

Read: TypeAlias = Callable[[str], bytes | None]
"""The content of a checkpoint's small file of a name; None where there is none."""


class AddedToken(NamedTuple):
    """A token that is found in the text before the model of the tokenizer sees it."""

    content: str
    special: bool = False
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True

    def entry(self, number: int) -> dict[str, Any]:
        """Its entry in tokenizer.json."""
        return {
            "id": number,
            "content": self.content,
            "single_word": self.single_word,
            "lstrip": self.lstrip,
            "rstrip": self.rstrip,
            "normalized": self.normalized,
            "special": self.special,
        }


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of one tokenizer.

    model_tokens: how many tokens the model has as it lies there, added ones aside.
    tokens: the id of every token, in the order of the ids. added: the added ones by id, in order.
    content, settings: tokenizer.json and tokenizer_config.json as they are (settings may be empty).
    special: special tokens by their part: `eos_token` -> `</s>`.
    read: gives the checkpoint's small files.
    """

    read: Read
    model_tokens: int
    tokens: Mapping[str, int]
    added: Mapping[int, AddedToken]
    content: Mapping[str, Any]
    settings: Mapping[str, Any]
    special: Mapping[str, str]

    @property
    def size(self) -> int:
        """Rows that an embedding needs to serve all tokens: the highest id, and one."""
        return max(self.tokens.values(), default=-1) + 1

    @property
    def template(self) -> str | None:
        """The chat template: a file of its own, or part of tokenizer_config.json."""
        own = self.read(TEMPLATE_NAME)
        if own is not None:
            return own.decode("utf-8", "replace")
        found = self.settings.get("chat_template")
        if isinstance(found, list):  # several, by name
            named = {t.get("name"): t.get("template") for t in found if isinstance(t, dict)}
            found = named.get("default")
        return found if isinstance(found, str) else None

    def unserved(self, rows: int) -> list[str]:
        """Tokens whose id is past an embedding of so many rows."""
        return [token for token, number in self.tokens.items() if number >= rows]


def read_from(store: Store) -> Read:
    """What reads the small files of a store. Errors: those of `read_small`."""

    def read(name: str) -> bytes | None:
        return read_small(store, name, _MOST_BYTES) if store.names(name) else None

    return read


def read_vocabulary(read: Read, place: str, span: Span | None = None) -> Vocabulary | None:
    """The vocabulary of a checkpoint; None where it has no tokenizer.

    read: gives the checkpoint's small files. place: where it is, for messages.
    Errors: CheckpointError E0403 at `span`: files that aren't what they should be, or a tokenizer
    in another format; those of `read`.
    """
    try:
        content = _object(read, TOKENIZER_NAME)
        if content is None:
            _refuse_others(read, place, span)
            return None
        settings = _object(read, SETTINGS_NAME) or {}
        named = (_object(read, _SPECIAL_MAP) or {}) | settings
        tokens = dict(_model_tokens(content.get("model")))
        added = _added_tokens(content, named, tokens)
        if not tokens:
            raise _Malformed(f"{TOKENIZER_NAME} has no tokens")
    except _Malformed as error:
        raise CheckpointError.of("E0403", f"{place}: {error.args[0]}", span=span) from None
    ordered = sorted(tokens.items(), key=lambda item: item[1])
    special = {key: text for key in SPECIAL_KEYS if (text := _text(named.get(key))) is not None}
    added = dict(sorted(added.items()))
    return Vocabulary(read, model_size(content), dict(ordered), added, content, settings, special)


def _refuse_others(read: Read, place: str, span: Span | None) -> None:
    other = next((name for name in _OTHER_FORMATS if read(name) is not None), None)
    if other is not None:
        raise CheckpointError.of(
            "E0403",
            f"{place} has its tokenizer in {other}, not in {TOKENIZER_NAME}",
            span=span,
            hint="convert it once: AutoTokenizer.from_pretrained(FOLDER)"
            ".save_pretrained(FOLDER), of transformers",
        )


def model_size(content: Mapping[str, Any]) -> int:
    """How many tokens the model of a tokenizer.json has, added tokens aside."""
    return len(content["model"]["vocab"])


class _Malformed(Exception):
    """A file that isn't what it should be; the message says which."""


def _object(read: Read, name: str) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no file."""
    data = read(name)
    if data is None:
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Malformed(f"{name} is not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise _Malformed(f"{name} doesn't hold a JSON object")
    return found


def _model_tokens(model: object) -> dict[str, int]:
    """Tokens and ids of the model: a table for BPE and words, a list for Unigram."""
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocab, dict):
        numbers = set(vocab.values())
        if set(map(type, numbers)) - {int} or min(numbers, default=0) < 0:
            raise _Malformed(f"{TOKENIZER_NAME} has an id that isn't a whole number from 0")
        if len(numbers) < len(vocab):
            raise _Malformed(f"{TOKENIZER_NAME} has two tokens of one id")
        return vocab
    if isinstance(vocab, list):
        try:
            return {text: number for number, (text, _) in enumerate(vocab)}
        except (TypeError, ValueError):
            raise _Malformed(
                f"{TOKENIZER_NAME} has a piece that isn't a text and a score"
            ) from None
    raise _Malformed(f"{TOKENIZER_NAME} has no `model` with a `vocab`")


def _added_tokens(
    content: Mapping[str, Any], settings: Mapping[str, Any], tokens: dict[str, int]
) -> dict[int, AddedToken]:
    """Added tokens by id, put among `tokens` too.

    tokenizer.json's own, then what tokenizer_config.json adds: to `added_tokens_decoder`, and the
    special tokens that are nowhere else, which take the ids after the last.
    """
    added: dict[int, AddedToken] = {}
    entries = content.get("added_tokens") or []
    decoder = settings.get("added_tokens_decoder")
    if isinstance(decoder, dict):
        entries = [*entries, *({"id": _number(key), **_entry(e)} for key, e in decoder.items())]
    for entry in entries:
        entry = _entry(entry)
        token, number = entry.get("content"), entry.get("id")
        if not isinstance(token, str) or type(number) is not int or number < 0:
            raise _Malformed("an added token needs `content`, a text, and `id`, a whole number")
        if token not in tokens or number not in added:
            number = tokens.setdefault(token, number)
            flags = {k: bool(entry[k]) for k in AddedToken._fields[1:] if k in entry}
            added.setdefault(number, AddedToken(token, **flags))
    for token in _named_special(settings):
        if token not in tokens:
            tokens[token] = max(tokens.values(), default=-1) + 1
        added.setdefault(tokens[token], AddedToken(token, special=True, normalized=False))
    return added


def _named_special(settings: Mapping[str, Any]) -> Iterator[str]:
    several = settings.get("additional_special_tokens") or settings.get("extra_special_tokens")
    several = several.values() if isinstance(several, dict) else several
    listed = several if isinstance(several, list) or several is not None else []
    for value in [*(settings.get(key) for key in SPECIAL_KEYS), *listed]:
        if (text := _text(value)) is not None:
            yield text


def _text(value: object) -> str | None:
    """A special token's text, which may be written as an object."""
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) and found else None


def _entry(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Malformed("an added token isn't an object")
    return value


def _number(text: object) -> int:
    try:
        return int(str(text))
    except ValueError:
        raise _Malformed(f"`added_tokens_decoder` has the key {text!r}, not an id") from None
