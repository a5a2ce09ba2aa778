"""mergekit's own merge tests, and its tests of what is written, with mergekit as the oracle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mergec.grammar import RecipeError
from safetensors.torch import load_file
from support.mergekit_recipes import MERGES, RANDOM, REFUSED, as_yaml
from support.merging import merge, plan_recipe, read_checkpoint

DATA = Path(__file__).parents[1] / "data" / "mergekit"
_OURS = frozenset(("dtype", "torch_dtype", "transformers_version", "architectures", "use_cache"))
"""Keys of config.json that mergekit's transformers writes anew, whatever the models say."""


def run(name: str, tmp_path: Path, dtype: str = "float32") -> Path:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(as_yaml(MERGES[name], dtype), encoding="utf-8")
    merge(recipe, tmp_path / dtype, folder=DATA / "models")
    return tmp_path / dtype


@pytest.mark.parametrize("name", MERGES)
def test_merges(name: str, tmp_path: Path) -> None:
    found = read_checkpoint(run(name, tmp_path))
    expected = _expected(name, found)
    if not name.startswith("vlm"):  # of which mergekit with transformers 5 loses the language model
        assert found.keys() == expected.keys()
    for key, theirs in expected.items():
        assert (found[key].dtype, found[key].shape) == (theirs.dtype, theirs.shape)
        off, largest = (found[key] - theirs).abs().max(), theirs.abs().max()
        assert name in RANDOM or off <= 2e-6 * largest, f"{key} is off by {off:.2g}"
    short = read_checkpoint(run(name, tmp_path, "bfloat16"))
    assert short.keys() == found.keys()
    named = "dtype" in MERGES[name]
    for key, tensor in short.items():
        assert not tensor.isnan().any()
        rounded = found[key].bfloat16() if named else found[key]
        assert torch.equal(tensor, rounded), key  # one rounding, where the result is saved
    ours = json.loads((tmp_path / "float32" / "config.json").read_text("utf-8"))
    theirs_config = json.loads((DATA / "expected" / f"{name}.json").read_text("utf-8"))
    assert {k: v for k, v in _facts(ours).items() if theirs_config.get(k, v) != v} == {}


def _expected(name: str, found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """mergekit's tensors; it writes those of its vision models under `model.`, the inputs don't."""
    tensors = load_file(DATA / "expected" / f"{name}.safetensors")
    return {key if key in found else key.removeprefix("model."): t for key, t in tensors.items()}


def _facts(config: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in config.items() if k not in _OURS and not isinstance(v, dict)}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(as_yaml(REFUSED[name]), encoding="utf-8")
    with pytest.raises(RecipeError):
        plan_recipe(recipe, tmp_path / "out", folder=DATA / "models")


def test_a_scale_of_0_leaves_nothing_of_a_projection(tmp_path: Path) -> None:
    for name, tensor in read_checkpoint(run("passthrough-scale", tmp_path)).items():
        assert bool((tensor == 0).all()) == ("o_proj" in name)


def test_a_stack_of_gpt2_is_as_deep_as_its_slices(tmp_path: Path) -> None:
    out = run("gpt2-stack", tmp_path)
    assert json.loads((out / "config.json").read_text("utf-8"))["n_layer"] == 6


# What mergekit's tests of its writer ask --------------------------------------------------------


def _save(tmp_path: Path, settings: str = "") -> list[str]:
    folder = DATA / "models"
    merge(f'save "./llama-a" to "./o" {settings}', tmp_path / "o", folder=folder)
    return sorted(path.name for path in (tmp_path / "o").glob("*.safetensors*"))


def test_one_file_has_the_usual_name(tmp_path: Path) -> None:
    assert _save(tmp_path) == ["model.safetensors"]


def test_each_shard_and_the_index_have_theirs(tmp_path: Path) -> None:
    names = _save(tmp_path, "{ shard = 1KB }")
    count = len(names) - 1
    assert count > 1
    assert names == [
        *(f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)),
        "model.safetensors.index.json",
    ]


def test_a_tensor_of_two_names_is_written_under_both(tmp_path: Path) -> None:
    tensors = load_file(DATA / "models" / "llama-a" / "model.safetensors")
    twice = 'save stack { "./llama-a"[0:1], "./llama-a"[0:1] } to "./o"'
    merge(twice, tmp_path / "o", folder=DATA / "models")
    found = read_checkpoint(tmp_path / "o")
    name = "model.layers.{}.mlp.up_proj.weight"
    for layer in range(2):
        assert torch.equal(found[name.format(layer)], tensors[name.format(0)])
