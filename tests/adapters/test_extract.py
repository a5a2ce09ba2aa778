"""`mergec extract`: what a model has learned, as an adapter that peft and `lora` give back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from mergec.cli.group import cli
from safetensors.torch import load_file
from support.merging import merge, read_checkpoint

peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")


def llama(folder: Path, seed: int, **more: Any) -> Path:
    torch.manual_seed(seed)
    options: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 64,
        "tie_word_embeddings": False,
    }
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**(options | more)))
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A model, and one of other weights throughout, norms included."""
    base, model = llama(tmp_path / "base", 0), llama(tmp_path / "model", 1)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        for name, value in loaded.named_parameters():
            if "norm" in name:
                value.add_(0.1)
    loaded.save_pretrained(model)
    return base, model


def extract(base: Path, model: Path, out: Path, *options: str) -> dict[str, Any]:
    arguments = ["extract", str(base), str(model), "-o", str(out), "--json", *options]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_full_rank_gives_the_model_back(pair: tuple[Path, Path], tmp_path: Path) -> None:
    base, model = pair
    found = extract(base, model, tmp_path / "adapter", "--rank", "1000")
    assert all(part["energy"] > 0.999999 for part in found["modules"])
    expected = read_checkpoint(model)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(base)
    merged = peft.PeftModel.from_pretrained(loaded, tmp_path / "adapter").merge_and_unload()
    by_peft = merged.state_dict()
    recipe = f'save "{base}" + lora {{ "{tmp_path}/adapter" }} to "./out" {{ dtype = float32 }}'
    merge(recipe, tmp_path / "out")
    ours = read_checkpoint(tmp_path / "out")
    for name, value in expected.items():
        torch.testing.assert_close(by_peft[name], value, atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(ours[name], value, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("rank", [1, 4])
def test_a_rank_keeps_the_best_of_it(pair: tuple[Path, Path], tmp_path: Path, rank: int) -> None:
    base, model = pair
    found = extract(base, model, tmp_path / "adapter", "--rank", str(rank))
    before, after = read_checkpoint(base), read_checkpoint(model)
    for part in found["modules"]:
        name = f"{part['module']}.weight"
        values = torch.linalg.svdvals((after[name] - before[name]).double())
        best = float((values[:rank] ** 2).sum() / (values**2).sum())
        assert part["rank"] == rank and part["energy"] == pytest.approx(best, rel=1e-4)


def test_a_share_of_the_energy(pair: tuple[Path, Path], tmp_path: Path) -> None:
    base, model = pair
    found = extract(base, model, tmp_path / "adapter", "--rank", "0.9")
    assert all(part["energy"] >= 0.9 - 1e-6 for part in found["modules"])
    assert len({part["rank"] for part in found["modules"]}) > 1
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["rank_pattern"] and config["alpha_pattern"] == config["rank_pattern"]
    loaded = transformers.AutoModelForCausalLM.from_pretrained(base)
    merged = peft.PeftModel.from_pretrained(loaded, tmp_path / "adapter").merge_and_unload()
    before, after = read_checkpoint(base), read_checkpoint(model)
    for name, value in merged.state_dict().items():
        if value.dim() == 2:
            lost = float(
                ((value - after[name]) ** 2).sum() / ((after[name] - before[name]) ** 2).sum()
            )
            assert lost <= 0.1001, name


def test_large_matrices_are_decomposed_at_random_points(tmp_path: Path) -> None:
    """A change of low rank is found exactly, in the same bits each time."""
    base = llama(tmp_path / "base", 0, hidden_size=256, intermediate_size=320, num_hidden_layers=1)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(3)
    with torch.no_grad():
        weight = loaded.model.layers[0].mlp.up_proj.weight
        weight.add_(0.05 * torch.randn(320, 4) @ torch.randn(4, 256))
    loaded.save_pretrained(tmp_path / "model")
    files = []
    for number in range(2):
        found = extract(base, tmp_path / "model", tmp_path / f"a{number}", "--rank", "4")
        (part,) = found["modules"]
        assert part["energy"] > 0.99999
        files.append((tmp_path / f"a{number}" / "adapter_model.safetensors").read_bytes())
    assert files[0] == files[1]
    assert len(load_file(tmp_path / "a0" / "adapter_model.safetensors")) == 2


@pytest.mark.parametrize(
    ("other", "code"), [("base", "E0331"), ("wider", "E0318"), ("nowhere", "E0601")]
)
def test_what_cannot_be_extracted(
    pair: tuple[Path, Path], tmp_path: Path, other: str, code: str
) -> None:
    llama(tmp_path / "wider", 0, hidden_size=64)
    arguments = ["extract", str(pair[0]), str(tmp_path / other), "-o", str(tmp_path / "adapter")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 1 and code in done.stderr
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("rank", ["0", "-1", "1.5", "many"])
def test_a_rank_that_is_none(pair: tuple[Path, Path], tmp_path: Path, rank: str) -> None:
    arguments = ["extract", *map(str, pair), "-o", str(tmp_path / "x"), "--rank", rank]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code != 0 and "neither a rank" in done.output
