"""Whatever the text, the front ends return a recipe or raise RecipeError, and errors print."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mergec.grammar import RecipeError, SourceText, format_recipe, parse, parse_text

RECIPES = [path.read_text() for path in sorted((Path(__file__).parent / "recipes").glob("*.merge"))]
YAML = """\
models:
  - model: &a org/one+l
    parameters: {weight: [{filter: mlp, value: [0, 1e-1]}, {value: 2}], density: 0.5}
  - model: {model: {path: b, revision: main}}
merge_method: ties
base_model: b
parameters:
  normalize: true
tokenizer: {source: union, tokens: {"<x>": {source: b, force: true}}}
dtype: bfloat16
---
name: two
slices:
  - sources: [{model: *a, layer_range: [0, 4]}, {model: b, layer_range: [0, 4]}]
    parameters: {weight: 1, t: .5}
merge_method: dare_ties
base_model: b
"""
PIECES = [
    *'{}[]():,=+-*#"\\\n\t \x00é_.',
    *("let ", "save ", "for ", " in ", "match {", " to ", "_: ", "1e", "5GB", "'", "\ud800"),
    *("- ", "? ", "| ", "> ", "!!int ", "&x ", "*x", "<<: ", "---\n", "%", "null", "parameters"),
]


def survive(name: str, text: str, signatures) -> None:
    try:
        recipe = parse(SourceText(name, text), signatures)
    except RecipeError as error:
        assert error.diagnostics and str(error)
        return
    canonical = format_recipe(recipe)
    if name.endswith(".merge"):
        assert parse_text(SourceText(name, canonical)) == recipe
        assert format_recipe(parse_text(SourceText(name, canonical))) == canonical


def mutate(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 4)):
        start = rng.randint(0, len(text))
        end = min(len(text), start + rng.choice((0, 0, 1, 2, 8)))
        text = text[:start] + rng.choice([*PIECES, ""]) + text[end:]
    return text


@pytest.mark.parametrize("seed", range(6))
def test_mutated_recipes(seed: int, signatures) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        survive("r.merge", mutate(rng.choice(RECIPES), rng), signatures)
        survive("r.yaml", mutate(YAML, rng), signatures)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_random_text(text: str) -> None:
    survive("r.merge", text, {}.get)
    survive("r.yaml", text, {}.get)
