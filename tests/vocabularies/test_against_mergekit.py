"""Merges over tokenizers that differ give the rows that mergekit 0.1.5 gives, token by token.

mergekit's own tests for tokenizers are among the configurations (union, base, a model's, slerp over
a union, forced and added tokens, another token's row, padding); `make_expected.py` made the rest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.merging import merge, read_checkpoint

DATA = Path(__file__).parents[1] / "data" / "vocabularies"
TOLERANCE = 2e-6
NAMES = ("model.embed_tokens.weight", "lm_head.weight")


def tokens_of(folder: Path) -> dict[str, int]:
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    added = {entry["content"]: entry["id"] for entry in content["added_tokens"]}
    return {**content["model"]["vocab"], **added}


@pytest.mark.parametrize("config", sorted(DATA.glob("configs/*.yaml")), ids=lambda path: path.stem)
def test_rows_are_mergekits(config: Path, tmp_path: Path) -> None:
    merge(config, tmp_path / "out", folder=DATA)
    facts: dict[str, Any] = json.loads(
        (DATA / "expected" / f"{config.stem}.json").read_text(encoding="utf-8")
    )
    expected = load_file(DATA / "expected" / f"{config.stem}.safetensors")
    found, tokens = read_checkpoint(tmp_path / "out"), tokens_of(tmp_path / "out")
    assert tokens.keys() == facts["tokens"].keys()
    ours = list(tokens.values())
    theirs = [facts["tokens"][token] for token in tokens]
    for name in NAMES:
        assert found[name].shape[0] == facts["vocab_size"]
        limit = TOLERANCE * float(expected[name].abs().max())
        assert torch.allclose(found[name][ours], expected[name][theirs], rtol=0, atol=limit), name
        padding = range(len(tokens), facts["vocab_size"])
        for row in padding:
            assert torch.allclose(found[name][row], expected[name][row], rtol=0, atol=limit)
    written = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert written["vocab_size"] == facts["vocab_size"]
