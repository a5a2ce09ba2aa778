"""Wrong recipes: the code, the place and the words of each error, pinned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mergec.compiler.binding.bound import Bound
from mergec.grammar import RecipeError

BindText = Callable[..., Bound]

FILES = {
    "/recipes/a.merge": 'import "b.merge" as b\nlet x = b.y',
    "/recipes/b.merge": 'import "sub/c.merge" as c\nlet y = c.z',
    "/recipes/sub/c.merge": 'import "../a.merge" as a\nlet z = "m"',
    "/recipes/ok.merge": 'param hidden = 1\nlet core = "x"[0:1]\nsave nowhere to ""',
    "/recipes/bad.merge": "let = 3",
    "/recipes/wrong.merge": "let x = y",
}
TO = 'to "./o"'

# Each a title, a recipe, and the code, place, message and hint of its only error.
ERRORS = (
    Path(__file__).with_name("errors.txt").read_text("utf-8").removeprefix("== ").split("\n\n== ")
)


@pytest.mark.parametrize("error", ERRORS, ids=[error.split("\n")[0] for error in ERRORS])
def test_error(bind_text: BindText, error: str) -> None:
    recipe, expected = error.split("\n", 1)[1].rsplit("\n-- ", 1)
    with pytest.raises(RecipeError) as caught:
        bind_text(recipe, files=FILES)
    (problem,) = caught.value.diagnostics
    assert problem.span is not None
    found = f"{problem.code} {problem.span.line}:{problem.span.column}\n{problem.message}"
    if problem.hint:
        found += f"\nhelp: {problem.hint}"
    assert found == expected.rstrip("\n")


def test_an_empty_recipe(bind_text: BindText) -> None:
    assert _problems(bind_text, "") == [
        ("E0212", "/recipes/recipe.merge:1:1", "this recipe saves nothing"),
    ]


def _problems(bind_text: BindText, text: str, **options: object) -> list[tuple[str, str, str]]:
    with pytest.raises(RecipeError) as caught:
        bind_text(text, files=FILES, **options)
    return [(d.code, str(d.span), d.message) for d in caught.value.diagnostics]


def test_hyphenated_method_says_what_the_hyphen_means(bind_text: BindText) -> None:
    with pytest.raises(RecipeError) as caught:
        bind_text(f'let merged = dare-ties {{ "a", "b" }}\nsave merged {TO}')
    assert str(caught.value).splitlines() == [
        "error[E0201]: unknown method `dare`",
        " --> /recipes/recipe.merge:1:14",
        "  |",
        '1 | let merged = dare-ties { "a", "b" }',
        "  |              ^^^^ in mergec `-` subtracts models",
        "  = help: did you mean `dare_ties`?",
    ]


def test_a_subtraction_with_blanks_is_one(bind_text: BindText) -> None:
    block = 'linear { "b" weight=1 }'
    assert bind_text(f'let dare = "a"\nsave "m" + (dare-{block}) {TO}').outputs
    assert _problems(bind_text, f"save dare - {block} {TO}")[0][0] == "E0202"


def test_a_cycle_of_imports_shows_the_chain(bind_text: BindText) -> None:
    with pytest.raises(RecipeError) as caught:
        bind_text(f'import "a.merge" as a\nsave a.x {TO}', files=FILES)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0205"
    assert problem.message == ("imports go in a circle: a.merge → b.merge → c.merge → a.merge")
    assert str(problem.span) == "/recipes/sub/c.merge:1:8"
    assert [label.span.line for label in problem.related] == [1, 1]


def test_errors_of_imported_recipes_are_reported_there(bind_text: BindText) -> None:
    assert _problems(bind_text, f'import "bad.merge" as m\nsave m.x {TO}') == [
        ("E0101", "/recipes/bad.merge:1:5", "expected a name, found `=`"),
    ]
    assert _problems(bind_text, f'import "wrong.merge" as m\nsave m.x {TO}') == [
        ("E0202", "/recipes/wrong.merge:1:9", "unknown name `y`"),
    ]


def test_all_errors_are_reported_in_order_and_once(bind_text: BindText) -> None:
    text = f"""
let a = slerp {{ "missing/a", "missing/b", t = x }}
for t in [1, 2, 3] {{ save linear {{ a weigth=1, "missing/a" weight=t }} to "./{{t}}" }}
save a + a {TO} {{ dtype = float17 }}
"""
    found = [(code, place.split(":", 1)[1]) for code, place, _ in _problems(bind_text, text)]
    assert found == [
        ("E0601", "2:17"), ("E0601", "2:30"), ("E0202", "2:47"),
        ("E0302", "3:36"), ("E0304", "3:38"),
        ("E0204", "4:8"), ("E0202", "4:31"),
    ]  # fmt: skip


def test_deep_nesting_is_an_error(bind_text: BindText) -> None:
    deep = '"a"'
    for _ in range(240):
        deep = f"cast {{ {deep}, dtype = float16 }}"
    assert [code for code, _, _ in _problems(bind_text, f"save {deep} {TO}")] == ["E0109"]


OVERRIDES = {
    "unknown": ({"stength": "1"}, "E0215", "has no `param stength`"),
    "type": ({"strength": '"x"'}, "E0218", "`strength` must be a number, found a string"),
    "list": ({"strength": "[0, 1]"}, "E0218", "must be a number, found a list"),
    "model": ({"strength": '"x"[0:1]'}, "E0218", "found a model"),
    "two values": ({"strength": "1, set seed = 3"}, "E0218", "must be one value"),
    "syntax": ({"strength": "1 2"}, "E0101", "found `2`"),
    "nothing": ({"strength": ""}, "E0101", ""),
    "name": ({"strength": "strenth"}, "E0202", "unknown name `strenth`"),
}


@pytest.mark.parametrize("title", OVERRIDES)
def test_wrong_override(bind_text: BindText, title: str) -> None:
    overrides, code, message = OVERRIDES[title]
    problems = _problems(bind_text, f'param strength = 0.6\nsave "a" {TO}', overrides=overrides)
    assert [problem[0] for problem in problems] == [code]
    assert message in problems[0][2]


def test_outputs_collide_in_the_folder_given_by_out(bind_text: BindText) -> None:
    text = 'save "a" to "./x/m"\nsave "b" to "./y/m"'
    assert [problem[0] for problem in _problems(bind_text, text, out="/o")] == ["E0213"]


YAML = "models:\n  - model: a\nmerge_method: passthrough\n"


def test_yaml_output_settings(bind_text: BindText) -> None:
    text = f"{YAML}dtype: float17\ntokenizer_source: base\nchat_template: chatml\n"
    problems = _problems(bind_text, text, name="recipe.yml")
    assert [(code, place.split(":", 1)[1]) for code, place, _ in problems] == [
        ("E0202", "4:8"),
    ]  # fmt: skip
