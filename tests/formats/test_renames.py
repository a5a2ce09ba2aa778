"""Names of one model as those of another: rules, and the rule that `check` proposes."""

from __future__ import annotations

import json
from pathlib import Path

import mergec
import pytest
import torch
from mergec.checkpoints.renames import RenameRule, proposed_rename
from mergec.grammar.diagnostics import MergecError
from support.checkpoints import tiny_mistral, write_checkpoint
from support.merging import read_checkpoint


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """text, a language model; vision, a vision-language model around another one of its kind."""
    text = tiny_mistral(tmp_path / "text", 0)
    tensors = read_checkpoint(tiny_mistral(tmp_path / "other", 1))
    wrapped = {name.replace("model.", "model.language_model.", 1): v for name, v in tensors.items()}
    wrapped["model.vision_tower.patch_embed.weight"] = torch.ones(4, 4, dtype=torch.bfloat16)
    config = json.loads((text / "config.json").read_text())
    write_checkpoint(tmp_path / "vision", wrapped, {"model_type": "vl", "text_config": config})
    return tmp_path


RENAME = 'rename {{ "{}/text", "model.{{rest}}" = "model.language_model.{{rest}}" }}'


def test_a_text_model_merges_into_a_language_half(pair: Path) -> None:
    recipe = (
        "set missing = copy\n"
        f'save slerp {{ "{pair}/vision", {RENAME.format(pair)}, t = 0.5 }} to "{pair}/out" {{}}'
    )
    mergec.run(mergec.compile(recipe))
    plain = f'save slerp {{ "{pair}/other", "{pair}/text", t = 0.5 }} to "{pair}/plain" {{}}'
    mergec.run(mergec.compile(plain))
    found, expected = read_checkpoint(pair / "out"), read_checkpoint(pair / "plain")
    assert torch.equal(
        found["model.vision_tower.patch_embed.weight"], torch.ones(4, 4, dtype=torch.bfloat16)
    )
    for name, value in expected.items():
        assert torch.equal(found[name.replace("model.", "model.language_model.", 1)], value), name


def problem(recipe: str) -> str:
    with pytest.raises(MergecError) as caught:
        mergec.compile(recipe)
    return str(caught.value)


def test_check_proposes_the_rename(pair: Path) -> None:
    """It proposes a rule that then works."""
    tensors = read_checkpoint(pair / "text")
    inner = {f"transformer.{name}": value for name, value in tensors.items()}
    write_checkpoint(pair / "inner", inner, {})
    said = problem(f'save slerp {{ "{pair}/text", "{pair}/inner", t = 0.5 }} to "{pair}/out" {{}}')
    proposal = f'rename {{ "{pair}/inner", "transformer.{{rest}}" = "{{rest}}" }}'
    assert proposal in said
    recipe = f'save slerp {{ "{pair}/text", {proposal}, t = 0.5 }} to "{pair}/out" {{}}'
    mergec.run(mergec.compile(recipe))
    assert all(
        torch.equal(value, tensors[name]) for name, value in read_checkpoint(pair / "out").items()
    )


def test_models_that_share_names_get_no_proposal() -> None:
    shapes = {"a.x.weight": (2, 2), "a.y.weight": (3,)}
    assert proposed_rename(shapes, {"b.x.weight": (2, 2), "b.y.weight": (3,)}) == RenameRule(
        "a.{rest}", "b.{rest}"
    )
    assert proposed_rename(shapes, {"b.x.weight": (4, 4), "b.y.weight": (5,)}) is None
    assert proposed_rename(shapes, {}) is None


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ('"none.{rest}" = "x.{rest}"', "is called `none.{rest}`"),
        ('"model.{rest}" = "same"', "would both be called `same`"),
        ('"model.{rest}" = "x.{other}"', "doesn't stand in"),
        ('"{a}.{a}" = "x"', "twice"),
        ('"model.{rest}" = 3', "pairs of quoted names"),
        ("t = 3", "pairs of quoted names"),
    ],
)
def test_rules_that_do_not_fit(pair: Path, rules: str, words: str) -> None:
    said = problem(f'save rename {{ "{pair}/text", {rules} }} to "{pair}/out" {{}}')
    assert "E0333" in said and words in said
