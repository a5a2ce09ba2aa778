"""Ids in configs follow their tokens into another vocabulary."""

from __future__ import annotations

from pathlib import Path

from mergec.checkpoints.vocabularies.token_ids import remap_ids
from vocabularies.test_reconcile import PLAIN, vocabulary


def test_ids_follow_their_tokens(tmp_path: Path) -> None:
    old = vocabulary(tmp_path / "old", PLAIN, ["<end>"])
    new = vocabulary(tmp_path / "new", [*PLAIN[:3], "c", "b", "a"])
    config = {
        "vocab_size": 7,
        "bos_token_id": 3,
        "eos_token_id": [2, 5, 6],
        "pad_token_id": None,
        "image_token_index": 6,
        "text_config": {"mask_token_id": 4},
        "suppress_tokens": [3, 5],
        "bad_words_ids": [[3]],
    }
    found, lost = remap_ids(config, old, new)
    assert found == {
        "vocab_size": 7,
        "bos_token_id": 5,
        "eos_token_id": [2, 3],
        "pad_token_id": None,
        "image_token_index": None,
        "text_config": {"mask_token_id": 4},
        "suppress_tokens": [5, 3],
        "bad_words_ids": None,
    }
    assert sorted(lost) == ["bad_words_ids", "image_token_index"]
    assert config["bos_token_id"] == 3


def test_an_end_that_is_gone_becomes_the_new_end(tmp_path: Path) -> None:
    old = vocabulary(tmp_path / "old", PLAIN, ["<end>"])
    new = vocabulary(tmp_path / "new")
    assert remap_ids({"eos_token_id": 6}, old, new) == ({"eos_token_id": 2}, [])
