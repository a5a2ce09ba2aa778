"""Configurations that mergekit 0.1.5 refuses while it runs, mergec refuses before; some it accepts.

Where mergekit ignores what it doesn't know, mergec says so.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from mergec.grammar import RecipeError
from support.merging import plan_recipe

MICRO = Path(__file__).parents[1] / "data" / "conformance" / "micro"
TWO = "models: [{model: models/a}, {model: models/b}]\n"
SLERP = f"{TWO}merge_method: slerp\nbase_model: models/a\n"
LINEAR = "merge_method: linear\n"

REFUSED_BY_BOTH = {
    "a weight is missing": (
        "E0302",
        "models: [{model: models/a, parameters: {weight: 1}}, {model: models/b}]\n" + LINEAR,
    ),
    "a filter leaves tensors without a weight": (
        "E0324",
        TWO + LINEAR + "parameters: {weight: [{filter: mlp, value: 0.5}]}\n",
    ),
    "an empty gradient and no outer level": ("E0302", TWO + LINEAR + "parameters: {weight: []}\n"),
    "no base": ("E0303", TWO + "merge_method: slerp\nparameters: {t: 0.5}\n"),
    "three models for slerp": (
        "E0301",
        SLERP.replace("{model: models/b}", "{model: models/b}, {model: models/c}")
        + "parameters: {t: 0.5}\n",
    ),
    "two models for passthrough": ("E0301", TWO + "merge_method: passthrough\n"),
    "a layer outside the model": (
        "E0321",
        "slices: [{sources: [{model: models/a, layer_range: [0, 7]}]}]\n"
        "merge_method: passthrough\n",
    ),
    "a base that is no source of a slice": (
        "E0323",
        "slices: [{sources: [{model: models/a, layer_range: [0, 6]}]}]\n"
        "merge_method: ties\nbase_model: models/base\nparameters: {weight: 1}\n",
    ),
    "a dtype that there isn't": (
        "E0202",
        TWO + LINEAR + "parameters: {weight: 1}\ndtype: half\n",
    ),
}

REFUSED_BY_MERGEC = {
    "an unknown parameter": ("E0304", SLERP + "parameters: {t: 0.5, foo: 3}\n"),
    "a negative density": (
        "E0306",
        f"{TWO}merge_method: ties\nbase_model: models/base\n"
        "parameters: {weight: 1, density: -0.5}\n",
    ),
    "weights that sum to 0": (
        "E0309",
        "models:\n  - {model: models/a, parameters: {weight: 0.5}}\n"
        "  - {model: models/b, parameters: {weight: -0.5}}\n" + LINEAR,
    ),
    "a range that ends before it begins": (
        "E0114",
        "slices: [{sources: [{model: models/a, layer_range: [4, 2]}]}]\n"
        "merge_method: passthrough\n",
    ),
}


@pytest.mark.parametrize(
    ("code", "config"),
    [*REFUSED_BY_BOTH.values(), *REFUSED_BY_MERGEC.values()],
    ids=[*REFUSED_BY_BOTH, *REFUSED_BY_MERGEC],
)
def test_refused(code: str, config: str, tmp_path: Path) -> None:
    recipe = tmp_path / "config.yaml"
    recipe.write_text(config, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        plan_recipe(recipe, tmp_path / "out", folder=MICRO)
    assert [problem.code for problem in caught.value.diagnostics] == [code]
    assert caught.value.diagnostics[0].span is not None


@pytest.mark.parametrize("first", [3, 4])
def test_slices_of_unequal_depth_are_refused(first: int, tmp_path: Path) -> None:
    recipe = tmp_path / "config.yaml"
    recipe.write_text(
        "slices:\n  - sources:\n"
        f"      - {{model: models/a, layer_range: [0, {first}]}}\n"
        f"      - {{model: models/b, layer_range: [0, {7 - first}]}}\n"
        f"{LINEAR}parameters: {{weight: 0.5}}\n",
        encoding="utf-8",
    )
    with pytest.raises(RecipeError):
        plan_recipe(recipe, tmp_path / "out", folder=MICRO)
