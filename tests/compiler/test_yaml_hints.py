"""Hints speak the language that the recipe is written in."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from mergec.errors import RecipeError
from support.checkpoints import tiny_mistral
from support.merging import plan_recipe

MODELS = "models: [{model: ./a}, {model: ./b}]"
CASES = [
    (
        f"""\
        merge_method: slerp
        base_model: ./a
        {MODELS}
        parameters: {{t: [{{filter: mlp, value: 0.5}}]}}
        """,
        "E0324",
        "end the list with a `value` without a `filter`, which is the default",
    ),
    (
        f"merge_method: linear\n        {MODELS}",
        "E0302",
        "add `weight: …` to the `parameters` of each source, or of the recipe",
    ),
    (
        """\
        merge_method: passthrough
        slices: [{sources: [{model: ./a, layer_range: [0, 9]}]}]
        """,
        "E0321",
        "`layer_range: [0, 2]` is the whole model",
    ),
]


@pytest.mark.parametrize(("text", "code", "hint"), CASES)
def test_yaml(tmp_path: Path, text: str, code: str, hint: str) -> None:
    for seed, name in enumerate(("a", "b")):
        tiny_mistral(tmp_path / name, seed, layers=2)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(dedent(" " * 8 + text.lstrip()), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        plan_recipe(recipe, tmp_path / "o")
    assert (caught.value.diagnostics[0].code, caught.value.diagnostics[0].hint) == (code, hint)
