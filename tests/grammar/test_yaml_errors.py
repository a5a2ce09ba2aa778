"""Errors of YAML recipes: code, line, column and words are pinned."""

from __future__ import annotations

import pytest
from mergec.grammar import RecipeError, Signatures, SourceText, parse_yaml

M = "models: [{model: a}]\n"
L = "merge_method: linear\n"

CASES = [
    ("", "E0122", 1, 1, "no recipe in it"),
    ("- a\n", "E0114", 1, 1, "a recipe must be a mapping"),
    ("a: [1\n", "E0111", 2, 1, "isn't valid YAML"),
    ("a:\n\t- b\n", "E0111", 2, 1, "not with tabs"),
    ("a: \x01\n", "E0111", 1, 4, "isn't valid YAML"),
    ("a: *x\n", "E0111", 1, 4, "isn't valid YAML"),
    ("a: " + "[" * 5000, "E0109", 1, 1, "nested too deeply"),
    (M, "E0114", 1, 1, "needs a `merge_method`"),
    ("merge_method: lineer\n" + M, "E0201", 1, 15, "unknown method `lineer`"),
    ("merge_method: lineer\n" + M, "E0201", 1, 15, "did you mean `linear`?"),
    ("merge_method: quux\n" + M, "E0201", 1, 15, "`mergec methods` lists them"),
    ("merge_method: dare-ties\n" + M, "E0201", 1, 15, "did you mean `dare_ties`?"),
    ("merge_method:\n" + M, "E0114", 1, 14, "expected a value, found none"),
    (L + M + "dtyp: float32\n", "E0113", 3, 1, "did you mean `dtype`?"),
    (L + M + "dtype: 'a b'\n", "E0114", 3, 8, "isn't a dtype"),
    (L + M + "dtype: float16\nout_dtype: [a]\n", "E0114", 4, 12, "single value"),
    (L, "E0123", 1, 15, "neither `models` nor `slices`"),
    (L + M + "slices: []\n", "E0115", 3, 1, "exclude each other"),
    (L + "models: a\n", "E0114", 2, 9, "must be a list"),
    (L + "models: []\n", "E0114", 2, 9, "at least one item"),
    (L + "models:\n  - a\n", "E0114", 3, 5, "a source must be a mapping"),
    (L + "models:\n  - parameters: {weight: 1}\n", "E0114", 3, 5, "needs a `model`"),
    (L + "models: [{model: a+b+c}]\n", "E0114", 2, 18, "isn't a model reference"),
    (L + "models: [{model: {lora: x}}]\n", "E0114", 2, 18, "needs a `model`"),
    (L + "models: [{model: {model: {revision: x}}}]\n", "E0114", 2, 26, "needs a `path`"),
    (L + M + "parameters: {wieght: 1}\n", "E0304", 3, 14, "did you mean `weight`?"),
    (L + M + "parameters: {zzz: 1}\n", "E0304", 3, 14, "parameters here: weight, normalize"),
    (L + M + "parameters: 3\n", "E0114", 3, 13, "must be a mapping"),
    (L + M + "parameters: {weight: {a: 1}}\n", "E0114", 3, 22, "a list of `filter` and `value`"),
    (L + M + "parameters: {weight: }\n", "E0114", 3, 21, "has no value"),
    (L + M + "parameters: {weight: [[1]]}\n", "E0114", 3, 23, "must be a value"),
    (L + M + "parameters: {weight: [{filter: x}]}\n", "E0114", 3, 23, "needs a `value`"),
    (L + M + "parameters: {weight: [{fliter: x, value: 1}]}\n", "E0113", 3, 24, "did you mean"),
    (L + M + "parameters: {weight: [1, {value: 1}]}\n", "E0114", 3, 23, "must be a mapping"),
    (L + M + "parameters: {weight: 010}\n", "E0114", 3, 22, "octal"),
    (L + M + "parameters: {weight: .inf}\n", "E0114", 3, 22, "isn't a number"),
    (L + M + "parameters: {weight: 1e999}\n", "E0114", 3, 22, "too large"),
    ("merge_method: ties\n" + M, "E0303", 1, 15, "`ties` needs a `base_model`"),
    ("merge_method: slerp\n" + M, "E0303", 1, 15, "the model at t = 0"),
    (L + "slices: [{}]\n", "E0114", 2, 10, "needs `sources`"),
    (L + "slices: [{sources: [{model: a}]}]\n", "E0114", 2, 21, "needs a `layer_range`"),
    (
        L + "slices: [{sources: [{model: a, layer_range: [4, 4]}]}]\n",
        "E0114",
        2,
        45,
        "the second above the first",
    ),
    (
        L + "slices: [{sources: [{model: a, layer_range: 0-4}]}]\n",
        "E0114",
        2,
        45,
        "two whole numbers",
    ),
    (
        "merge_method: ties\nbase_model: b\n"
        "slices: [{sources: [{model: a, layer_range: [0, 4]}]}]\n",
        "E0323",
        3,
        10,
        "isn't one of this slice's sources",
    ),
    (
        "merge_method: passthrough\nslices:\n  - sources: [{model: a, layer_range: [0, 1]}, "
        "{model: b, layer_range: [0, 1]}]\n",
        "E0114",
        3,
        14,
        "exactly one source",
    ),
    (L + "modules: {a: {}}\n", "E0123", 1, 15, "neither `models` nor `slices`"),
    (L + "modules: {a: {models: []}, b: {}}\n", "E0114", 2, 10, "exactly one module"),
    (L + M + "tokenizer: base\ntokenizer_source: base\n", "E0115", 4, 1, "exclude each other"),
    (L + M + "tokenizer: {tokens: {x: {}}}\n", "E0114", 3, 25, "needs a `source`"),
    (L + M + "tokenizer: {pad_to_multiple_of: -1}\n", "E0114", 3, 33, "whole number above 0"),
    (f"name: s\n{L}{M}---\nname: s\n{L}{M}", "E0116", 5, 7, "two stages are called `s`"),
    (
        f"name: s\n{L}models: [{{model: t}}]\n---\nname: t\n{L}models: [{{model: s}}]\n",
        "E0124",
        3,
        1,
        "use each other in a circle: `s` and `t`",
    ),
]


def errors(text: str, signatures: Signatures) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse_yaml(SourceText("r.yaml", text), signatures)
    return caught.value


@pytest.mark.parametrize(("text", "code", "line", "column", "words"), CASES)
def test_one_mistake_is_one_error(
    text: str, code: str, line: int, column: int, words: str, signatures: Signatures
) -> None:
    (found,) = errors(text, signatures).diagnostics
    assert found.span is not None
    assert (found.code, found.span.line, found.span.column) == (code, line, column)
    assert words in str(found)


def test_all_errors_at_once(signatures: Signatures) -> None:
    text = """\
nmae: x
merge_method: ties
models:
  - model: a
    parameters: {weigth: 1}
  - modle: b
parameters: {tt: 1}
"""
    found = errors(text, signatures).diagnostics
    assert [(d.code, d.span.line) for d in found if d.span] == [
        ("E0113", 1),
        ("E0303", 2),
        ("E0304", 5),
        ("E0113", 6),
        ("E0114", 6),
        ("E0304", 7),
    ]
