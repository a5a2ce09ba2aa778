"""YAML's filters without a default, written as a `match`."""

from __future__ import annotations

from textwrap import dedent

from mergec.grammar import Signatures, SourceText, format_recipe, parse_text, parse_yaml
from mergec.grammar.defaults import with_defaults
from mergec.grammar.diagnostics import Diagnostics

YAML = """\
    merge_method: slerp
    base_model: a
    models: [{model: a}, {model: b}]
    parameters:
      t:
        - {filter: self_attn, value: [0, 1]}
        - {filter: mlp, value: 0.25}
"""


def test_the_last_value_becomes_the_default(signatures: Signatures) -> None:
    recipe = parse_yaml(SourceText("r.yaml", dedent(YAML)), signatures)
    problems = Diagnostics()
    text = format_recipe(with_defaults(recipe, problems))
    assert "_:         0.25" in text
    assert format_recipe(parse_text(SourceText("r.merge", text))) == text
    assert [(w.code, str(w.span)) for w in problems.warnings] == [("W0106", "r.yaml:6:7")]


def test_what_has_a_default_stays(signatures: Signatures) -> None:
    text = dedent(YAML) + "    - {value: 0.5}\n"
    recipe = parse_yaml(SourceText("r.yaml", text), signatures)
    problems = Diagnostics()
    assert with_defaults(recipe, problems) == recipe
    assert not problems.items
