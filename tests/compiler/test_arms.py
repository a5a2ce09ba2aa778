"""Arms of a `match` that match nothing or are hidden; dtypes by tensor name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mergec.grammar import RecipeError
from support.checkpoints import tiny_mistral
from support.merging import merge, plan_recipe, read_checkpoint


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a", "b")):
        tiny_mistral(tmp_path / name, seed, layers=6, hidden=16, vocab=16)
    return tmp_path


def slerp(t: str) -> str:
    return f'save slerp {{ "./a", "./b", t = {t} }} to "./o"'


def test_an_arm_that_matches_nothing_is_an_error(models: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_recipe(slerp("match { self_atn: 0.1, _: 0.5 }"), models / "o")
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0328"
    assert problem.hint == "did you mean `self_attn` (matches 24)?"
    assert plan_recipe(slerp("match { self_atn?: 0.1, _: 0.5 }"), models / "o").warnings == ()


def test_in_yaml_it_is_a_warning(models: Path) -> None:
    recipe = models / "r.yaml"
    recipe.write_text(
        "models: [{model: ./a}, {model: ./b}]\nmerge_method: slerp\nbase_model: ./a\n"
        "parameters: {t: [{filter: self_atn, value: 0.1}, {value: 0.5}]}\n"
    )
    assert [w.code for w in plan_recipe(recipe, models / "o").warnings] == ["W0105"]


def test_so_it_is_where_models_are_chosen(models: Path) -> None:
    with pytest.raises(RecipeError, match="E0328"):
        plan_recipe('save match { mpl: "./a", _: "./b" } to "./o"', models / "o")
    plan_recipe('save match { mlp: "./a", mpl?: "./a", _: "./b" } to "./o"', models / "o")


def test_a_hidden_arm_is_a_warning(models: Path) -> None:
    recipe = slerp('match { mlp: 0.1, "mlp.down_proj": 0.2, norm: 0.3, _: 0.5 }')
    (warning,) = plan_recipe(recipe, models / "o").warnings
    assert (warning.code, warning.span and warning.span.column) == ("W0303", 50)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ('"layers.0"', 9),
        ('"layers.{0..1}"', 18),
        ('"layers.{-2..-1}.mlp"', 6),
        ('"layers.*.self_attn.{q,k}_proj"', 12),
        ('"layers.?.mlp.*.weight"', 18),
        ('"model.**.weight"', 56),
        ('"**embed_tok**"', 1),
        ("embed", 1),
    ],
)
def test_patterns(models: Path, pattern: str, count: int) -> None:
    merge(f'save match {{ {pattern}: "./b", _: "./a" }} to "./o"', models / "o")
    found, a, b = (read_checkpoint(models / name) for name in ("o", "a", "b"))
    taken = [n for n in found if torch.equal(found[n], b[n]) and not torch.equal(a[n], b[n])]
    assert len(taken) == count


def test_dtypes_by_name(models: Path) -> None:
    merge(
        'save slerp { "./a", "./b", t = 0.5 } to "./o" '
        '{ dtype = match { norm: float32, _: float16 }, license = "mit" }',
        models / "o",
    )
    found = read_checkpoint(models / "o")
    assert {tensor.dtype for name, tensor in found.items() if "norm" in name} == {torch.float32}
    assert {tensor.dtype for name, tensor in found.items() if "norm" not in name} == {torch.float16}
    assert json.loads((models / "o" / "config.json").read_text())["torch_dtype"] == "float16"
    saved = json.loads((models / "o" / "mergec.json").read_text())["save"]
    assert saved == {
        "dtype": {"norm": "float32", "_": "float16"},
        "shard_bytes": 5_000_000_000,
        "config": "./a",
        "license": "mit",
    }
