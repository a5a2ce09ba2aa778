"""A tied model's head is its embedding: it merges with models that store one."""

from __future__ import annotations

import json
from pathlib import Path

import mergec
import numpy as np
import pytest
from mergec.errors import MergecError
from safetensors.numpy import load_file
from support.checkpoints import write_checkpoint

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


def model(folder: Path, seed: int, tied: bool, declared: bool = True) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    tensors = {EMBEDDING: random.standard_normal((20, 8)).astype(np.float32)}
    tensors["model.norm.weight"] = np.ones(8, np.float32)
    if not tied:
        tensors[HEAD] = random.standard_normal((20, 8)).astype(np.float32)
    write_checkpoint(folder, tensors, {"tie_word_embeddings": tied and declared})
    return tensors


def test_a_tied_and_an_untied_model(tmp_path: Path) -> None:
    tied, untied = model(tmp_path / "t", 1, True), model(tmp_path / "u", 2, False)
    text = 'save linear { "./t" weight=0.25\n"./u" weight=0.75 } to "./out"'
    (tmp_path / "r.merge").write_text(text)
    mergec.run(tmp_path / "r.merge")
    found = load_file(tmp_path / "out" / "model.safetensors")
    wanted = 0.25 * tied[EMBEDDING] + 0.75 * untied[HEAD]
    np.testing.assert_allclose(found[HEAD], wanted, atol=1e-6)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["tie_word_embeddings"] is False


def test_a_head_that_is_only_missing_is_still_an_error(tmp_path: Path) -> None:
    model(tmp_path / "t", 1, True, declared=False)
    model(tmp_path / "u", 2, False)
    text = 'save linear { "./t" weight=1\n"./u" weight=1 } to "./out"'
    with pytest.raises(MergecError, match="E0311"):
        (tmp_path / "r.merge").write_text(text)
        mergec.compile(tmp_path / "r.merge")


def test_tied_models_alone_have_no_head(tmp_path: Path) -> None:
    model(tmp_path / "t", 1, True)
    model(tmp_path / "u", 2, True)
    (tmp_path / "r.merge").write_text('save linear { "./t" weight=1\n"./u" weight=1 } to "./out"')
    mergec.run(tmp_path / "r.merge")
    assert HEAD not in load_file(tmp_path / "out" / "model.safetensors")
