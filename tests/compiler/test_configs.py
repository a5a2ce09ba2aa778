"""Whose config.json and small files an output has, and what is said where configs differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mergec.grammar import RecipeError
from support.checkpoints import tiny_mistral
from support.merging import merge, plan_recipe

Models = Callable[..., Path]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """`a`, and `b`, whose config and small files tell it from `a`."""
    for seed, name in enumerate(("a", "b")):
        folder = tiny_mistral(tmp_path / name, seed, layers=2)
        config = json.loads((folder / "config.json").read_text())
        config["rope_theta"] = 10000.0 * 100**seed
        (folder / "config.json").write_text(json.dumps(config))
        for file in ("generation_config.json", "tokenizer_config.json"):
            (folder / file).write_text(json.dumps({"of": name}))
    return tmp_path


LINEAR = "models: [{model: ./a}, {model: ./b}]\nmerge_method: linear\nparameters: {weight: 1}\n"


@pytest.mark.parametrize(
    ("name", "text", "donor"),
    [
        ("r.yaml", LINEAR, "a"),
        ("r.yaml", LINEAR + "base_model: ./b\n", "b"),
        ("r.yaml", f"{LINEAR.replace('linear', 'karcher')}base_model: ./b\n", "b"),
        ("r.merge", 'save slerp { "./a", "./b", t = 0.5 } to "./o"', "a"),
        ("r.merge", 'save slerp { "./a", "./b", t = 0.5 } to "./o" { config = "./b" }', "b"),
        (
            "r.merge",
            'let s = "./b"[:1]\nsave slerp { "./a", "./b", t = 1 } to "./o" { config = s }',
            "b",
        ),
    ],
)
def test_config_and_small_files_come_from(models: Path, name: str, text: str, donor: str) -> None:
    recipe = models / name
    recipe.write_text(text)
    out = models / "o"
    merge(recipe, out)
    config = json.loads((out / "config.json").read_text())
    assert (
        config["rope_theta"]
        == json.loads((models / donor / "config.json").read_text())["rope_theta"]
    )
    assert json.loads((out / "generation_config.json").read_text()) == {"of": donor}
    assert json.loads((out / "tokenizer_config.json").read_text()) == {"of": donor}


def test_configs_that_differ_are_told(models: Path) -> None:
    recipe = 'save slerp { "./a", "./b", t = 0.5 } to "./o"'
    (warning,) = plan_recipe(recipe, models / "o").warnings
    assert warning.code == "W0301"
    assert warning.notes == (
        "rope_theta: 10000.0 (./a), 1000000.0 (./b)",
        "config.json is that of ./a",
    )


def test_configs_that_agree_are_not(models: Path) -> None:
    assert plan_recipe('save slerp { "./a", "./a", t = 0.5 } to "./o"', models / "o").warnings == ()


def test_a_config_is_taken_of_a_model(models: Path) -> None:
    with pytest.raises(RecipeError, match="E0204"):
        plan_recipe('save "./a" to "./o" { config = 3 }', models / "o")
