"""What mergekit's users write and mergekit lets be: warnings with a place, and the meaning kept."""

from __future__ import annotations

import pytest
from mergec.grammar import (
    Recipe,
    RecipeError,
    Signatures,
    SourceText,
    YamlOptions,
    format_recipe,
    parse_yaml,
)

L = "merge_method: linear\n"
M = "models: [{model: a}]\n"
T = "merge_method: ties\nbase_model: b\n"
OF_A = "base_model: a\nmodels: [{model: a, "
S = "merge_method: slerp\nparameters: {t: 0.3}\n"


def read(text: str, signatures: Signatures, options: YamlOptions | None = None) -> Recipe:
    return parse_yaml(SourceText("r.yaml", text), signatures, options or YamlOptions())


def saved(text: str, signatures: Signatures, options: YamlOptions | None = None) -> str:
    """The recipe in the .merge language, on one line, without its path."""
    written = " ".join(format_recipe(read(text, signatures, options)).split())
    return written.replace(' to "./merged"', "")


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (
            S + "base_model: a\nmodels: [{model: a, parameters: {weight: 1}}]",
            4,
            34,
            "`slerp` doesn",
        ),
        (
            S + "base_model: a\nmodels: [{model: a, parameters: {t: 1}}]",
            4,
            34,
            "for the whole merge",
        ),
        (L + M + "parameters: {weight: 1, density: 0.5}", 3, 25, "`linear` doesn't use it"),
        (L + M + "random_seed: 420", 3, 1, "`random_seed` of a recipe has no effect"),
        (L + "models: [{model: a, weight: 0.5}]", 2, 21, "`weight` of a source has no effect"),
        (L + "models: [{model: a, layer_range: [0, 4]}]", 2, 21, "`layer_range` of a source"),
        (L + "models: [{model: a, revision: v2}]", 2, 21, "`revision` of a source"),
        (L + M + "parameters: {weight: 1, dtype: float16}", 3, 25, "`dtype` under `parameters`"),
        (
            L + "slices: [{sources: [{model: a, layer_range: [0, 1]}], merge_method: linear}]",
            2,
            55,
            "`merge_method` of a slice",
        ),
        (f"name: s\n{L}{M}tokenizer_source: union\n---\n{L}{M}", 4, 1, "only the last merge"),
        (T + "models: [{model: b}]", 1, 15, "nothing but the base is listed"),
    ],
)
def test_what_has_no_effect_is_a_warning(
    text: str, line: int, column: int, words: str, signatures: Signatures
) -> None:
    (warning,) = read(text, signatures).warnings
    assert warning.span is not None
    assert (warning.code, warning.span.line, warning.span.column) == ("W0107", line, column)
    assert words in warning.message


def test_of_a_key_given_twice_the_last_counts(signatures: Signatures) -> None:
    recipe = read(f"{S}base_model: a\n{M}models: [{{model: a}}, {{model: c}}]\n", signatures)
    (warning,) = recipe.warnings
    assert (warning.code, str(warning.span)) == ("W0110", "r.yaml:5:1")
    assert '"c"' in format_recipe(recipe)


@pytest.mark.parametrize(
    "text",
    [
        f"x-notes: [1, 2]\n{L}{M}",
        f"weights: &w {{weight: 0.5}}\n{L}models: [{{model: a, parameters: *w}}]",
        f"shared:\n  heavy: &h [0, 1]\n{L}models: [{{model: a, parameters: {{weight: *h}}}}]",
        f"{L}models: [{{model: a, x-why: good}}]",
    ],
)
def test_what_is_for_the_writer_alone(text: str, signatures: Signatures) -> None:
    assert read(text, signatures).warnings == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"mine: 3\n{L}{M}", "E0113"),
        (f"mine: &a 3\n{L}{M}", "E0113"),  # an anchor that nothing uses
        (f"{L}models: [{{model: a, mine: 3}}]", "E0113"),
        (f"{L}{M}parameters: {{desnity: 0.5}}", "E0304"),
    ],
)
def test_lax_yaml_lets_be_what_nobody_knows(text: str, code: str, signatures: Signatures) -> None:
    with pytest.raises(RecipeError) as caught:
        read(text, signatures)
    assert [problem.code for problem in caught.value.diagnostics] == [code]
    (warning,) = read(text, signatures, YamlOptions(lax=True)).warnings
    assert warning.code == "W0108"
    assert warning.message == caught.value.diagnostics[0].message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (L + M + "parameters: {normalize: 'yes'}", 'save linear { "a", normalize = true }'),
        (L + M + "parameters: {normalize: OFF}", 'save linear { "a", normalize = false }'),
        (L + "models: [{model: a, parameters: {weight: true}}]", 'save linear { "a" weight=1 }'),
        (
            L + "models: [{model: a, parameters: {weight: []}}]\nparameters: {weight: 2}",
            'save linear { "a" weight=2 }',
        ),
        (T + "models: [{model: b, parameters: {weight: 1}}]", 'save passthrough { "b" }'),
    ],
)
def test_odd_values(text: str, expected: str, signatures: Signatures) -> None:
    assert saved(text, signatures) == expected


@pytest.mark.parametrize(
    "sources",
    [
        "models: [{model: a}, {model: c}]",
        "slices: [{sources: [{model: a, layer_range: [0, 2]}, {model: c, layer_range: [0, 2]}]}]",
    ],
)
def test_a_slerp_of_old(sources: str, signatures: Signatures) -> None:
    recipe = read(f"{S}base_model: b\n{sources}", signatures)
    (warning,) = recipe.warnings
    assert warning.code == "W0302"
    assert "22 January 2024" in str(warning)
    text = " ".join(format_recipe(recipe).split())
    assert text.index('"c"') < text.index('"a"')
    assert text.endswith('{ config = "b" }')


def test_unnamed_documents_are_stages_by_position(signatures: Signatures) -> None:
    recipe = read(f"{L}{M}---\n{L}models: [{{model: merge-1}}]", signatures)
    (warning,) = recipe.warnings
    assert (warning.code, str(warning.span)) == ("W0109", "r.yaml:1:1")
    assert "`merge-1`" in warning.message
    text = " ".join(format_recipe(recipe).split())
    assert text == ('let merge_1 = linear { "a" } save linear { merge_1 } to "./merged"')


@pytest.mark.parametrize(
    ("text", "config"),
    [
        (f"{L}base_model: a\nmodels: [{{model: a}}, {{model: c}}]", None),
        (f"{L}base_model: c\nmodels: [{{model: a}}, {{model: c}}]", "c"),
        (f"{T}models: [{{model: a}}]", None),
        (
            "merge_method: passthrough\nbase_model: c\n"
            "slices: [{sources: [{model: a, layer_range: [0, 2]}]}]",
            "c",
        ),
        (f"name: s\n{L}base_model: c\n{M}---\n{L}models: [{{model: s}}]", "c"),
        (f"name: s\n{L}{M}---\n{L}base_model: s\nmodels: [{{model: c}}, {{model: s}}]", "a"),
    ],
)
def test_base_model_gives_the_config(text: str, config: str | None, signatures: Signatures) -> None:
    written = saved(text, signatures)
    assert (f'config = "{config}"' in written) if config else ("config" not in written)


BF16 = "dtype: bfloat16\n"


@pytest.mark.parametrize(
    ("keys", "plain", "like_mergekit"),
    [
        ("", '{ "a" }', '{ "a" }'),
        ("dtype: float32\n", '{ "a" }', '{ "a" }'),
        (BF16, '{ "a" }', '{ cast { "a", dtype = bfloat16 } }'),
        (BF16 + "out_dtype: bfloat16\n", '{ "a" }', None),
        (
            BF16 + "out_dtype: float16\n",
            'save linear { cast { "a", dtype = bfloat16 } }',
            'save cast { linear { cast { "a", dtype = bfloat16 } }, dtype = bfloat16 }',
        ),
    ],
)
def test_one_rule_for_dtypes(
    keys: str, plain: str, like_mergekit: str | None, signatures: Signatures
) -> None:
    assert plain in saved(L + M + keys, signatures)
    if like_mergekit is not None:
        options = YamlOptions(round_like_mergekit=True)
        assert like_mergekit in saved(L + M + keys, signatures, options)


def test_stages_are_rounded_as_mergekit_writes_them(signatures: Signatures) -> None:
    text = f"name: s\n{L}{M}{BF16}---\n{L}models: [{{model: s}}]\n{BF16}"
    assert "let s = linear {" in saved(text, signatures)
    options = YamlOptions(round_like_mergekit=True)
    assert "let s = cast { linear {" in saved(text, signatures, options)
