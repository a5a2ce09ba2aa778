"""mergekit YAML -> the tree that the same recipe has as text (compared as canonical text)."""

from __future__ import annotations

from textwrap import dedent

import pytest
from mergec.grammar import Recipe, Signatures, SourceText, format_recipe, parse_text, parse_yaml
from mergec.grammar.syntax import Block, Let, Name, Save

STAGE = "---\nmerge_method: passthrough\nmodels: [{model: s}]"
HEAD = "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n"


def read(text: str, signatures: Signatures) -> Recipe:
    return parse_yaml(SourceText("r.yaml", dedent(text)), signatures)


def check(yaml: str, expected: str, signatures: Signatures) -> None:
    """The YAML's tree is the text's, and its canonical text parses to it again."""
    recipe = read(yaml, signatures)
    text = parse_text(SourceText("r.merge", dedent(expected)))
    assert _pathless(recipe) == _pathless(text)
    canonical = format_recipe(recipe)
    assert _pathless(parse_text(SourceText("r.merge", canonical))) == _pathless(recipe)
    assert format_recipe(parse_text(SourceText("r.merge", canonical))) == canonical


def _pathless(recipe: Recipe) -> list[object]:
    return [
        (s.value, s.settings) if isinstance(s, Save) else (s.name, s.value)  # type: ignore[union-attr]
        for s in recipe.statements
    ]


def test_whole_models_against_a_base(signatures: Signatures) -> None:
    yaml = """\
        models:
          - model: base/b            # the base itself is no source
          - model: org/one@v2
            parameters: {weight: 0.5, density: [1, 0.7, 0.1]}
          - model: org/two+me/lora@v1
            parameters:
              weight: 1e-1
        merge_method: ties
        base_model: base/b
        parameters: {normalize: true, density: 0.5, int8_mask: true}
        dtype: float32
        out_dtype: bfloat16
        tokenizer_source: union
        chat_template: chatml
        """
    text = """\
        save ties {
          base = "base/b"
          "org/one@v2" weight=0.5 density=[1, 0.7, 0.1]
          "org/two" + lora { "me/lora@v1" } weight=0.1 density=0.5
          normalize = true
        } to "x" { dtype = bfloat16, tokenizer = union, chat_template = chatml }
        """
    check(yaml, text, signatures)


def test_slices_are_a_stack_of_merges(signatures: Signatures) -> None:
    yaml = """\
        slices:
          - sources:
              - {model: a, layer_range: [0, 4]}
              - {model: b, layer_range: [4, 8]}
            parameters: {t: 0.25}
          - sources:
              - {model: a, layer_range: [4, 6]}
              - {model: b, layer_range: [6, 8]}
        merge_method: slerp
        base_model: b
        parameters:
          t:
            - {filter: self_attn, value: [0, 0.5, 1]}
            - {filter: layers.0, value: 1}
            - value: 0.5
        """
    text = """\
        save stack {
          slerp { "b"[4:8], "a"[0:4], t = 0.25 }
          slerp {
            "b"[6:8]
            "a"[4:6]
            t = match { self_attn: [0, 0.5, 1], "**layers.0**"?: 1, _: 0.5 }
          }
        } to "x"
        """
    check(yaml, text, signatures)


def test_slices_with_a_base(signatures: Signatures) -> None:
    yaml = """\
        slices:
          - sources:
              - {model: a, layer_range: [0, 4]}
              - {model: b, layer_range: [0, 4], parameters: {weight: 1}}
        merge_method: task_arithmetic
        base_model: a
        """
    text = 'save stack { task_arithmetic { base = "a"[0:4], "b"[0:4] weight=1 } } to "x"'
    check(yaml, text, signatures)


def test_passthrough(signatures: Signatures) -> None:
    yaml = """\
        merge_method: passthrough
        slices:
          - sources: [{model: a, layer_range: [0, 4]}]
          - sources:
              - model: b
                layer_range: [2, 4]
                parameters:
                  scale: [{filter: o_proj, value: 0.0}, {value: 1.0}]
        """
    text = 'save stack { "a"[0:4], "b"[2:4] scale=match { o_proj?: 0.0, _: 1.0 } } to "x"'
    check(yaml, text, signatures)
    yaml = "merge_method: passthrough\nmodels: [{model: a, parameters: {scale: 2}}]"
    check(yaml, 'save passthrough { "a" scale=2 } to "x"', signatures)


def test_the_nearest_level_comes_first_in_a_match(signatures: Signatures) -> None:
    yaml = """\
        merge_method: linear
        modules:
          default:
            slices:
              - sources:
                  - model: a
                    layer_range: [0, 2]
                    parameters: {weight: [{filter: mlp, value: 1}]}
                  - model: b
                    layer_range: [0, 2]
                    parameters: {weight: 7}
                parameters: {weight: [{filter: mlp, value: 8}, {filter: attn, value: 2}]}
            parameters: {weight: {filter: x}}
        parameters: {weight: 4}
        """.replace("{weight: {filter: x}}", "{weight: [{filter: norm, value: 3}]}")
    text = """\
        save stack {
          linear {
            "a"[0:2] weight=match { mlp: 1, attn?: 2, norm?: 3, _: 4 }
            "b"[0:2] weight=7
          }
        } to "x"
        """
    check(yaml, text, signatures)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[{filter: mlp, value: 0.5}]", "match { mlp: 0.5, _: 1.0 }"),  # the method's default
        ("[{filter: '*', value: 0.5}, {filter: mlp, value: 1}]", "0.5"),
        ("[{filter: a*b, value: 0.5}, {value: 1}]", 'match { "**a\\\\*b**"?: 0.5, _: 1 }'),
        ("[{filter: match, value: 0.5}, {value: 1}]", 'match { "**match**"?: 0.5, _: 1 }'),
        ("[{filter: q.weight, value: 1}, {value: 2}]", "match { q.weight?: 1, _: 2 }"),
        ("'1e-5'", "1e-5"),
        ("1e-5", "1e-5"),
        ("-0.5", "-0.5"),
        ("l1", "l1"),
        ("[yes, no]", "[true, false]"),
        ("[0, 1e-1]", "[0, 0.1]"),
    ],
)
def test_values(value: str, expected: str, signatures: Signatures) -> None:
    yaml = f"""\
        merge_method: ties
        base_model: b
        models: [{{model: a}}]
        parameters: {{density: {value}}}
        """
    check(yaml, f'save ties {{ base = "b", "a" density={expected} }} to "x"', signatures)


def test_a_match_may_lack_a_default(signatures: Signatures) -> None:
    yaml = """\
        merge_method: linear
        models: [{model: a}]
        parameters: {weight: [{filter: mlp, value: 1}]}
        """
    (save,) = read(yaml, signatures).statements
    assert isinstance(save, Save) and isinstance(save.value, Block)
    (arm,) = save.value.rows[0].columns[0].value.arms  # type: ignore[union-attr]
    assert arm.pattern.text == "mlp"


@pytest.mark.parametrize(
    ("method", "given", "expected"),
    [
        ("dare_ties", "true", "l1"),
        ("dare_ties", "false", "none"),
        ("dare_ties", "density", "density"),
        ("dare_ties", None, "l1"),  # what mergekit does unless told otherwise
        ("ties", "true", "l1"),
        ("ties", None, None),
    ],
)
def test_rescale_is_a_rule(
    method: str, given: str | None, expected: str | None, signatures: Signatures
) -> None:
    parameters = f"parameters: {{rescale: {given}}}" if given else ""
    yaml = f"merge_method: {method}\nbase_model: b\nmodels: [{{model: a}}]\n{parameters}\n"
    setting = f", rescale = {expected}" if expected else ""
    check(yaml, f'save {method} {{ base = "b", "a"{setting} }} to "x"', signatures)


@pytest.mark.parametrize(
    ("method", "base", "models", "expected"),
    [
        ("linear", "a", "ab", 'linear { "a", "b" }'),
        ("slerp", "b", "ab", 'slerp { "b", "a" }'),
        ("slerp", "b", "a", 'slerp { "b", "a" }'),
        ("nuslerp", "c", "ab", 'nuslerp { base = "c", "a", "b" }'),
        ("nuslerp", "a", "abc", 'nuslerp { base = "a", "b", "c" }'),
        ("nuslerp", None, "ab", 'nuslerp { "a", "b" }'),
    ],
)
def test_base_model(
    method: str, base: str | None, models: str, expected: str, signatures: Signatures
) -> None:
    listed = ", ".join(f"{{model: {model}}}" for model in models)
    yaml = f"merge_method: {method}\nmodels: [{listed}]\n"
    yaml += f"base_model: {base}\n" if base else ""
    check(yaml, f'save {expected} to "x"', signatures)


def test_model_references(signatures: Signatures) -> None:
    yaml = """\
        merge_method: linear
        models:
          - model: {model: {path: org/a, revision: main}, lora: {path: ./l, revision: null}}
          - model: {model: org/b}
          - model: 123
        """
    text = 'save linear { "org/a@main" + lora { "./l" }, "org/b", "123" } to "x"'
    check(yaml, text, signatures)


def test_tokenizer(signatures: Signatures) -> None:
    yaml = (
        HEAD
        + """\
tokenizer:
  source: base
  pad_to_multiple_of: 64
  tokens:
    "<|x|>": {source: org/m}
    "<|y|>": {source: {kind: zero}}
    "<|z|>": {source: {kind: model_token, model: m, token: "<s>"}, force: true}
    "<|w|>": {source: {model: m, token_id: 5}}
"""
    )
    text = """\
        save linear { "a" weight=1 } to "x" {
          tokenizer = union {
            source = base
            pad_to = 64
            "<|x|>" = "org/m"
            "<|y|>" = zero
            "<|z|>" = force { token { "m", name = "<s>" } }
            "<|w|>" = token { "m", id = 5 }
          }
        }
        """
    check(yaml, text, signatures)
    check(
        HEAD + "tokenizer: {source: org/m}\nchat_template: '{{ x }}'",
        'save linear { "a" weight=1 } to "x" { tokenizer = "org/m", chat_template = "{{ x }}" }',
        signatures,
    )


def test_documents_are_stages(signatures: Signatures) -> None:
    yaml = """\
        merge_method: slerp
        models: [{model: second-stage}, {model: 1st}]
        base_model: second-stage
        parameters: {t: 0.5}
        dtype: bfloat16
        ---
        name: second-stage
        merge_method: linear
        models: [{model: 1st}, {model: org/x}]
        parameters: {weight: 1}
        dtype: float32
        ---
        name: 1st
        merge_method: linear
        models: [{model: a+l}]
        parameters: {weight: 1}
        ---
        """
    text = """\
        let stage_1st = linear { "a" + lora { "l" } weight=1 }
        let second_stage = linear { stage_1st weight=1, "org/x" weight=1 }
        save slerp { second_stage, stage_1st, t = 0.5 } to "x" { dtype = bfloat16 }
        """
    check(yaml, text, signatures)


def test_the_last_of_named_documents_is_saved(signatures: Signatures) -> None:
    yaml = "name: base\n" + HEAD + "---\nname: base.\n" + HEAD.replace("model: a", "model: base")
    recipe = read(yaml, signatures)
    let, save = recipe.statements
    assert isinstance(let, Let) and let.name == "stage_base"
    assert isinstance(save, Save) and save.path is None and isinstance(save.value, Block)
    assert save.value.rows[0].value == Name("stage_base", save.span)


def test_anchors_and_merge_keys(signatures: Signatures) -> None:
    yaml = """\
        merge_method: ties
        base_model: b
        models:
          - model: a
            parameters: &p {weight: 1, density: 0.5}
          - model: c
            parameters: {<<: *p, weight: 2}
        """
    text = 'save ties { base = "b", "a" weight=1 density=0.5, "c" weight=2 density=0.5 } to "x"'
    check(yaml, text, signatures)


def test_spans_are_places_in_the_yaml(signatures: Signatures) -> None:
    text = dedent(
        """\
        models:
          - model: org/a
            parameters:
              weight: 0.5

        # a comment
        merge_method: linear
        """
    )
    (save,) = parse_yaml(SourceText("r.yaml", text), signatures).statements
    assert isinstance(save, Save) and isinstance(save.value, Block)
    row = save.value.rows[0]

    def written(node: object) -> str:
        span = node.span  # type: ignore[attr-defined]
        return text[span.start : span.end]

    assert written(row) == "model: org/a\n    parameters:\n      weight: 0.5"
    assert written(row.value) == "org/a"
    assert written(row.columns[0]) == "weight: 0.5"
    assert text[save.value.name_span.start : save.value.name_span.end] == "linear"


@pytest.mark.parametrize(
    ("yaml", "text"),
    [
        # inputs are rounded to `dtype` only where `out_dtype` says another one
        (
            "merge_method: passthrough\nmodels: [{model: a}]\ndtype: bfloat16\nout_dtype: float32",
            'save passthrough { cast { "a", dtype = bfloat16 } } to "x" { dtype = float32 }',
        ),
        (
            "merge_method: passthrough\nmodels: [{model: a}]\ndtype: float32\nout_dtype: bfloat16",
            'save passthrough { "a" } to "x" { dtype = bfloat16 }',
        ),
        (
            "merge_method: passthrough\nmodels: [{model: a}]\ndtype: torch.float16",
            'save passthrough { "a" } to "x" { dtype = float16 }',
        ),
        (
            "merge_method: passthrough\nmodels: [{model: a}]\n"
            "dtype: torch.bfloat16\nout_dtype: bfloat16",
            'save passthrough { "a" } to "x" { dtype = bfloat16 }',
        ),
        # a stage is rounded where it has another dtype than the result
        (
            f"name: s\n{HEAD}dtype: bfloat16\n{STAGE}",
            'let s = cast { linear { "a" weight=1 }, dtype = bfloat16 }\n'
            'save passthrough { s } to "x"',
        ),
        (
            f"name: s\n{HEAD}dtype: bfloat16\n{STAGE}\ndtype: bfloat16",
            'let s = linear { "a" weight=1 }\nsave passthrough { s } to "x" { dtype = bfloat16 }',
        ),
        # what no filter matches has the default
        (
            "merge_method: passthrough\n"
            "models: [{model: a, parameters: {scale: {filter: mlp, value: 2}}}]",
            'save passthrough { "a" scale=match { mlp: 2, _: 1.0 } } to "x"',
        ),
        (
            "merge_method: linear\nparameters: ~\n"
            "models: [{model: a, parameters: {weight: {value: 2}}}]",
            'save linear { "a" weight=2 } to "x"',
        ),
        (
            "merge_method: linear\nparameters: {normalize: 0}\n"
            "models: [{model: a, parameters: {weight: 2}}]",
            'save linear { "a" weight=2, normalize = false } to "x"',
        ),
        # each slice may have the base
        (
            "merge_method: slerp\nparameters: {t: 1}\nslices: [{base_model: b, sources: "
            "[{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}]}]",
            'save stack { slerp { "b"[0:2], "a"[0:2], t = 1 } } to "x"',
        ),
    ],
)
def test_what_mergekit_takes_besides(yaml: str, text: str, signatures: Signatures) -> None:
    check(yaml + "\n", text + "\n", signatures)
