"""Arithmetic, conditions, ranges, `for` in expressions and rows, functions, libraries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mergec.compiler.binding.bound import Bound, BoundExpr
from mergec.grammar import RecipeError

BindText = Callable[..., Bound]
Show = Callable[[BoundExpr], str]

LIBRARY = {
    "/recipes/soups.merge": """
param density = 0.5
param heads = "./a"
let _hidden = 3
let twice = 2 * density
def soup(models, base, density = density) = ties {
  base = base
  for m in models { m weight=1/len(models) density=density }
}
""",
    "/recipes/above.merge": 'import "soups.merge" as soups { density = 0.25 }\n'
    "let t = soups.density",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2 / 2", "1.75"),
        ("-2 * -3", "6"),
        ("0.1 * 3", "0.3"),
        ("1 / 3", "0.333333333333"),
        ("1e-5", "1e-5"),
        ("2 / 2", "1"),
        ("if 1 < 2 then 3 else 4", "3"),
        ('if "a" == "b" then 3 else if 2 >= 2 then 5 else 6', "5"),
        ("min(3, 1, 2) + max([4, 5])", "6"),
        ("round(2.6)", "3"),
        ("round(2.345, 1)", "2.3"),
        ("abs(-2)", "2"),
        ("len(0..4)", "5"),
        ("len(for i in 1..3 { i })", "3"),
        ("max(for i in 1..3 { i * i })", "9"),
        ("len([])", "0"),
        ("true == false", "false"),
    ],
)
def test_values(bind_text: BindText, text: str, value: str) -> None:
    bound = bind_text(f'let v = {text}\nsave "a" to "./{{v}}"')
    assert bound.outputs[0].path.name == value


def test_a_string_takes_expressions(bind_text: BindText) -> None:
    bound = bind_text('param t = 0.1\nfor i in 1..3 { save "a" to "./{t*i}-{i + 1}-{x, y}-{{i}}" }')
    assert [output.path.name for output in bound.outputs] == [
        "0.1-2-{x, y}-{{i}}", "0.2-3-{x, y}-{{i}}", "0.3-4-{x, y}-{{i}}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('(("m" - "b") / 2)', "combination(b, difference(m, b), scale=0.5)"),
        ('("m" - "b") / 2 * 3', "combination(b, difference(m, b), scale=1.5)"),
    ],
)
def test_deltas_are_divided(bind_text: BindText, show: Show, text: str, shown: str) -> None:
    assert show(bind_text(f'save "b" + {text} to "./o"').outputs[0].value) == shown


def test_lists_are_divided(bind_text: BindText, show: Show) -> None:
    bound = bind_text('save slerp { "a", "b", t = [0, 1, 2] / 2 } to "./o"')
    assert show(bound.outputs[0].value) == "slerp(a, b, t=[0.0, 0.5, 1.0])"


def test_rows_are_repeated(bind_text: BindText, show: Show) -> None:
    bound = bind_text("""
let experts = ["a", "b"[0:2], "c"]
save linear {
  for m in experts { m weight=1/len(experts) }
  for i in 1..2 { "m-{i}" weight=i, for j in [3] { "n-{j}" weight=i*j } }
} to "./o"
""")
    assert show(bound.outputs[0].value) == (
        "linear(a weight=0.3333333333333333, b[0:2] weight=0.3333333333333333,"
        " c weight=0.3333333333333333, m-1 weight=1.0, n-3 weight=3.0, m-2 weight=2.0,"
        " n-3 weight=6.0, normalize=True)"
    )


def test_the_branch_that_is_not_taken_opens_nothing(bind_text: BindText, show: Show) -> None:
    bound = bind_text('save if 1 > 2 then "missing/a" else "b" to "./o"')
    assert show(bound.outputs[0].value) == "b"


def test_a_function(bind_text: BindText, show: Show) -> None:
    bound = bind_text("""
def soup(models, base, density = 0.5) = ties {
  base = base
  for m in models { m weight=1/len(models) density=density }
}
let base = "b"
save soup(["x", "y"], base, density = [0, 1]) to "./o"
save soup(["z"], base = base) to "./p"
""")
    first, second = (show(output.value) for output in bound.outputs)
    assert "x weight=0.5 density=[0.0, 1.0], y weight=0.5 density=[0.0, 1.0]" in first
    assert "base=b, z weight=1.0 density=0.5" in second
    assert bound.warnings == ()


@pytest.mark.parametrize(
    ("text", "code", "line", "words"),
    [
        # checked where it is defined, though nothing calls it
        ("def f(a) = slrp { a, a, t = 1 }", "E0201", 1, "`slrp`"),
        ("def f(a) = slerp { a, b, t = 1 }", "E0202", 1, "`b`"),
        ("def f(a) = slerp { a, a, tt = 1 }", "E0302", 1, "`t`"),
        ("def f(a) = f(a)", "E0219", 1, "`f`"),
        ("def f(a, a) = a", "E0203", 1, "`a`"),
        # and where it is called
        ("def f(a) = a\nlet x = f()", "E0221", 2, "needs `a`"),
        ("def f(a) = a\nlet x = f(1, 2)", "E0221", 2, "takes 1 arguments, found 2"),
        ("def f(a) = a\nlet x = f(b = 1)", "E0221", 2, "takes no `b`"),
        ("def f(a) = a\nlet x = f(1, a = 2)", "E0221", 2, "`a` twice"),
        ("def f(a = 1) = a\nlet x = f(true)", "E0218", 2, "must be a number"),
        ("def f(a) = slerp { a, a, t = a }\nlet x = f(1)", "E0204", 1, "a source of `slerp`"),
        ("let x = g(1)", "E0219", 1, "no function `g`"),
        ("let x = slerp(1)", "E0219", 1, "braces"),
        ("let x = min()", "E0221", 1, "numbers"),
        ('let x = len("a")', "E0221", 1, "one list"),
        ("let x = if 1 then 2 else 3", "E0204", 1, "a condition"),
        ("let x = 1 < true", "E0204", 1, "can't be compared"),
        ("let x = 0.5..2", "E0204", 1, "whole numbers"),
        ("let x = 1 / 0", "E0222", 1, "divided by 0"),
        ("let x = for i in 1..2 { i, i }", "E0126", 1, "one value"),
        ("let x = org/name", "E0202", 1, '"org/name"'),
    ],
)
def test_errors(bind_text: BindText, text: str, code: str, line: int, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        bind_text(f'{text}\nsave "a" to "./o"')
    problem = caught.value.diagnostics[0]
    assert problem.span is not None
    assert (problem.code, problem.span.line) == (code, line)
    assert words in str(problem)


def test_an_error_in_a_call_names_the_call(bind_text: BindText) -> None:
    with pytest.raises(RecipeError) as caught:
        bind_text('def f(a) = slerp { a, a, t = a }\nlet x = f(1)\nsave "a" to "./o"')
    assert caught.value.diagnostics[0].related[0].span.line == 2


def test_a_library_is_given_values(bind_text: BindText, show: Show) -> None:
    text = """
import "soups.merge" as soups { density = 0.3 }
import "soups.merge" as plain
save soups.soup(["x"], "b") to "./{soups.density}-{soups.twice}-{plain.density}"
"""
    bound = bind_text(text, files=LIBRARY)
    assert bound.outputs[0].path.name == "0.3-0.6-0.5"
    assert show(bound.outputs[0].value).startswith("ties(base=b, x weight=1.0 density=0.3,")
    bound = bind_text(text, files=LIBRARY, overrides={"plain.density": "0.75"})
    assert bound.outputs[0].path.name == "0.3-0.6-0.75"


def test_a_library_of_a_library(bind_text: BindText) -> None:
    text = 'import "above.merge" as above\nsave "a" to "./{above.t}"'
    assert bind_text(text, files=LIBRARY).outputs[0].path.name == "0.25"
    overrides = {"above.soups.density": "0.125"}
    assert bind_text(text, files=LIBRARY, overrides=overrides).outputs[0].path.name == "0.125"


@pytest.mark.parametrize(
    ("text", "overrides", "code", "words"),
    [
        ('import "soups.merge" as s { dense = 1 }', {}, "E0215", "has no `param dense`"),
        ('import "soups.merge" as s { density = true }', {}, "E0218", "must be a number"),
        ('import "soups.merge" as s', {"s.dense": "1"}, "E0215", "has no `param dense`"),
        ('import "soups.merge" as s', {"t.density": "1"}, "E0215", "no `param t.density`"),
        ('import "soups.merge" as s', {"s.density": "true"}, "E0218", "must be a number"),
        ('import "soups.merge" as s\nlet x = s._hidden', {}, "E0202", "in its own file only"),
        ('import "soups.merge" as s\nlet x = s.soup', {}, "E0204", "a function is called"),
    ],
)
def test_libraries_refused(
    bind_text: BindText, text: str, overrides: dict[str, str], code: str, words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        bind_text(f'{text}\nsave "a" to "./o"', files=LIBRARY, overrides=overrides)
    assert [problem.code for problem in caught.value.diagnostics] == [code]
    assert words in str(caught.value)
