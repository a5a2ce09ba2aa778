"""Small models whose tokenizers differ, in the Hub's layout.

base     64 tokens.
chatml   the base's and two added ones, at the end.
again    the same two added ones, in the other order: two models share what the base lacks.
padded   four added tokens that its embedding has no rows for.
other    the base's tokens in another order, and six plain ones of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .checkpoints import tiny_mistral

VOCAB, HIDDEN = 64, 8
CHATML = ("<|im_start|>", "<|im_end|>")
_SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def make_models(folder: Path) -> None:
    """Write the five models into `folder`."""
    plain = ["<unk>", "<s>", "</s>", *(f"_tok_{number}" for number in range(3, VOCAB))]
    shuffled = plain[:3] + plain[:2:-1]
    unused = [f"<UNUSED_{number}>" for number in range(4)]
    _model(folder / "base", 0, plain, [])
    _model(folder / "chatml", 1, plain, CHATML)
    _model(folder / "again", 2, plain, CHATML[::-1])
    _model(folder / "padded", 3, plain, unused, rows=VOCAB)
    _model(folder / "other", 4, [*shuffled, *(f"_new_{number}" for number in range(6))], [])


def write_tokenizer(folder: Path, tokens: Sequence[str], added: Sequence[str]) -> None:
    """tokenizer.json and tokenizer_config.json of a BPE without merges."""
    special = [
        {"id": tokens.index(text), "content": text, "special": True, "normalized": False}
        for text in _SPECIAL.values()
    ]
    more = [
        {"id": len(tokens) + number, "content": text, "special": True, "normalized": False}
        for number, text in enumerate(added)
    ]
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{**entry, **flags} for entry in (*special, *more)],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [],
        },
    }
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **_SPECIAL}
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _model(
    folder: Path, seed: int, tokens: list[str], added: Sequence[str], rows: int | None = None
) -> None:
    rows = rows or len(tokens) + len(added)
    tiny_mistral(folder, seed, 1, HIDDEN, rows, "float32", intermediate=8, spread=0.3)
    write_tokenizer(folder, tokens, added)
