"""Mixtures of experts hold what mergekit-moe 0.1.5 makes of the same YAML, but for random gates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.merging import merge, read_checkpoint

DATA = Path(__file__).parents[1] / "data" / "mixtures"
CONFIGS = sorted(DATA.glob("configs/*.yaml"))
SAYS = (
    "architectures",
    "model_type",
    "num_local_experts",
    "num_experts",
    "n_routed_experts",
    "n_shared_experts",
    "num_experts_per_tok",
    "norm_topk_prob",
    "decoder_sparse_step",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "first_k_dense_replace",
    "rms_norm_eps",
    "max_position_embeddings",
    "num_key_value_heads",
    "hidden_size",
    "vocab_size",
)


def apart(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Mixtral's tensors as the Hub has them, from those that hold all experts of a layer."""
    found = {}
    for name, value in tensors.items():
        stem, _, last = name.rpartition("mlp.")
        experts = f"{stem}block_sparse_moe.experts"
        if last == "experts.gate_up_proj":
            for number, both in enumerate(value):
                gate, up = both.chunk(2)
                found[f"{experts}.{number}.w1.weight"] = gate
                found[f"{experts}.{number}.w3.weight"] = up
        elif last == "experts.down_proj":
            for number, down in enumerate(value):
                found[f"{experts}.{number}.w2.weight"] = down
        elif last == "gate.weight" and stem:
            found[f"{stem}block_sparse_moe.gate.weight"] = value
        else:
            found[name] = value
    return found


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_tensors_are_mergekits(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERGEC_HOME", str(tmp_path / "home"))
    merge(config, tmp_path / "out", folder=DATA)
    found = read_checkpoint(tmp_path / "out")
    expected = load_file(DATA / "expected" / f"{config.stem}.safetensors")
    if config.stem.startswith("mixtral"):
        expected = apart(expected)
    gates = {name for name in found if name.endswith("gate.weight")}
    assert gates and found.keys() - gates == expected.keys() - gates
    # mergekit runs the base in bfloat16; we in float32
    limit = 0.02 if "hidden" in config.stem else 2e-6
    for name, value in expected.items():
        allowed = (limit if name in gates else 2e-6) * float(value.abs().max())
        assert torch.allclose(found[name].float(), value, rtol=0, atol=allowed), name


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_configs_say_what_mergekits_do(config: Path, tmp_path: Path) -> None:
    text = config.read_text(encoding="utf-8").replace("hidden_avg", "random")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text.replace("hidden", "random"), encoding="utf-8")
    merge(recipe, tmp_path / "out", folder=DATA)
    written: dict[str, Any] = json.loads((tmp_path / "out" / "config.json").read_text())
    expected = json.loads((DATA / "expected" / f"{config.stem}.json").read_text())
    for key in SAYS:
        assert written.get(key) == expected.get(key), key


def test_random_gates_have_the_spread_they_should(tmp_path: Path) -> None:
    from mergec.checkpoints.mixtures.random_gates import random_gate

    normal = torch.tensor(random_gate("random", 0, "a", 8, 4096))
    assert abs(float(normal.mean())) < 0.02 and abs(float(normal.std()) - 1) < 0.02
    uniform = torch.tensor(random_gate("uniform", 0, "a", 8, 4096))
    assert float(uniform.abs().max()) <= 1 / 64 and abs(float(uniform.mean())) < 0.001
    assert float(uniform.std()) == pytest.approx(1 / 64 / 3**0.5, rel=0.02)
    assert not torch.equal(normal, torch.tensor(random_gate("random", 0, "b", 8, 4096)))
    assert not torch.equal(normal, torch.tensor(random_gate("random", 1, "a", 8, 4096)))
