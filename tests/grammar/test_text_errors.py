"""Syntax errors of `.merge` text: code, line, column and words are pinned."""

from __future__ import annotations

import pytest
from mergec.grammar import RecipeError, SourceText, parse_text

CASES = [
    # E0101: a token that doesn't fit
    ("let x = slerp(a, t = 1\nlet y = 2", "E0105", 1, 14, "never closed"),
    ("let x = slerp(a, match: 1)", "E0101", 1, 23, "methods take braces: `slerp { … }`"),
    ("let x = slerp { a b }", "E0101", 1, 21, "a column is written `name=value`"),
    ("let x = slerp { a, t 0.5 }", "E0101", 1, 22, "did you mean `t = 0.5`?"),
    ("let x = slerp { a, , b }", "E0101", 1, 20, "expected an expression or `}`, found `,`"),
    ("let x = slerp\n{ a }", "E0101", 2, 1, "`{` stands on the line of the name"),
    ("let x = {a}", "E0101", 1, 9, "expected an expression, found `{`"),
    ('let x = "a" { b }', "E0101", 1, 13, "only names take braces"),
    ("x = 3", "E0101", 1, 1, "to name something write `let x = …`"),
    ("lett x = 4", "E0101", 1, 1, "did you mean `let`?"),
    ("42", "E0101", 1, 1, "a statement begins with `let`, `param`"),
    ("slerp { a, b }", "E0101", 1, 1, 'write `save slerp { … } to "PATH"`'),
    (", let x = 1", "E0101", 1, 1, "expected a statement, found `,`"),
    ("let x =\n  3", "E0101", 1, 8, "the value begins on the line of its `=`"),
    ("let x = a +\n  b", "E0101", 1, 12, "only inside parentheses"),
    ("let y = 1\n + b", "E0101", 2, 2, "only inside parentheses"),
    ("let x = ", "E0101", 1, 8, "expected an expression, found the end of the file"),
    ("let", "E0101", 1, 4, "expected a name, found the end of the file"),
    ("let a = 1 let b = 2", "E0101", 1, 11, "separate them with a new line or a comma"),
    ("let a = b c", "E0101", 1, 11, "found `c`"),
    ("let set = 3", "E0101", 1, 5, "`set` can't be a name"),
    ("let x = slerp { set = 3 }", "E0101", 1, 17, "found the reserved word `set`"),
    ("let a.b = 3", "E0101", 1, 5, "a new name has no dots"),
    ('save x "a"', "E0101", 1, 8, 'expected `to` or `{`, found the string "a"'),
    ("save x to a", "E0101", 1, 11, 'quote it: "a"'),
    ("save x + y", "E0101", 1, 11, 'an output is written `save model to "PATH"`'),
    ('save x to "p" { "q" }', "E0101", 1, 21, "expected `=`"),
    ("import a as b", "E0101", 1, 8, 'quote it: "a"'),
    ('import "a"', "E0101", 1, 11, "expected `as`"),
    ("for t in [1]\n{ }", "E0101", 1, 13, "`{` stands on the line of the name"),
    ("let m = match { mlp = 0.5, _: 1 }", "E0101", 1, 21, "written `pattern: value`"),
    ("let m = match { 3: 0.5, _: 1 }", "E0101", 1, 17, "found `3`"),
    ("let x = ties { a weight: 0.5 }", "E0101", 1, 24, "written `name = value`"),
    ("let x = (1, 2)", "E0101", 1, 11, "a list takes square brackets"),
    ("let x = a[1]", "E0101", 1, 12, "a half-open range"),
    # E0102: characters
    ("let x = 'abc'", "E0102", 1, 9, "straight double quotes"),
    ("let x = “abc”", "E0102", 1, 9, "straight double quotes"),
    ('save ./out to "b"', "E0102", 1, 6, 'a path is a string: "./out"'),
    ("let x = org/name@main", "E0102", 1, 17, 'a string: "org/name@revision"'),
    ("let x = 1 // why", "E0102", 1, 11, "a comment begins with `#`"),
    ("let x = a; b", "E0102", 1, 10, "separated by a new line or a comma"),
    ("let\u00a0x = 1", "E0102", 1, 4, "no-break space"),
    ("let x = $$$", "E0102", 1, 9, "unexpected `$`"),
    ("let é = 1", "E0102", 1, 5, "unexpected `é`"),
    # E0103: strings
    ('let x = "abc', "E0103", 1, 9, 'no closing `"`'),
    ('let x = slerp { "a, b }\nlet y = 1', "E0103", 1, 17, 'no closing `"`'),
    ('let x = "abc\\"', "E0103", 1, 9, 'no closing `"`'),
    ('let x = "C:\\models"', "E0118", 1, 12, "unknown escape `\\m`"),
    ('let x = "\\ud800"', "E0118", 1, 10, "unknown escape"),
    # E0104: numbers and sizes
    ("let x = 1.2.3", "E0104", 1, 9, "`1.2.3` isn't a number"),
    ("let x = 5.", "E0104", 1, 9, "isn't a number"),
    ("let x = 1e", "E0104", 1, 10, "`e` isn't a unit"),
    ("let x = 5gb", "E0104", 1, 10, "did you mean `5GB`?"),
    ("let x = 5XB", "E0104", 1, 10, "units are KB, MB"),
    ("let x = 1e999", "E0104", 1, 9, "too large"),
    ("let x = " + "9" * 5000, "E0104", 1, 9, "isn't a number"),
    # E0105: brackets
    ("let x = [1, 2", "E0105", 1, 9, "this `[` is never closed"),
    ("let x = slerp { a\nlet y = 3", "E0105", 1, 15, "expected `}` before this"),
    ("let x = slerp { t = [1, 2 }", "E0105", 1, 21, "expected `]` before this"),
    ("let x = ((a)", "E0105", 1, 9, "this `(` is never closed"),
    ("let x = a } ", "E0105", 1, 11, "closes nothing"),
    # E0106: match
    ("let m = match { mlp: 0.5 }", "E0106", 1, 9, "add `_: value`"),
    ("let m = match {}", "E0106", 1, 9, "no default arm"),
    ("let m = match { _: 0.5, mlp: 1 }", "E0120", 1, 25, "never reached"),
    # The rest
    ("mergec 2\n&&&", "E0107", 1, 8, "version 2 of the language"),
    ("mergec 1.5", "E0107", 1, 8, "write `mergec 1`"),
    ("let a = 1\nmergec 1", "E0121", 2, 1, "must be the first statement"),
    ("models:\n  - model: a", "E0108", 1, 1, "ends in .yaml or .yml"),
    ("---\nslices:\n", "E0108", 1, 1, "looks like a YAML recipe"),
    ("let x = " + "[" * 400, "E0109", 1, 50, "nested too deeply"),
    ("let x = " + "-" * 400 + "a", "E0109", 1, 259, "nested too deeply"),
    ('let x = slerp { "a" = 5 }', "E0110", 1, 17, "takes no quotes"),
    ("let x = slerp { t = 1, t = 2 }", "E0112", 1, 24, "`t` is given twice"),
]


def errors(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse_text(SourceText("r.merge", text))
    return caught.value


@pytest.mark.parametrize(("text", "code", "line", "column", "words"), CASES)
def test_first_error(text: str, code: str, line: int, column: int, words: str) -> None:
    first = errors(text).diagnostics[0]
    assert first.span is not None
    assert (first.code, first.span.line, first.span.column) == (code, line, column)
    assert words in str(first)


@pytest.mark.parametrize(("text", "code"), [(case[0], case[1]) for case in CASES])
def test_one_mistake_is_one_error(text: str, code: str) -> None:
    found = errors(text).diagnostics
    # A value or a brace on the next line is two lines that both make no sense alone.
    continues = text.count("\n") == 1 and code == "E0101"
    assert len(found) <= 1 + continues


def test_all_errors_of_a_file() -> None:
    text = """\
let a = slerp { x y, t = , z }
let b = 3 4
save a to "p" { dtype bf16, shard = 5gb }
for t in [1] {
  save a to b
  let m = match { mlp 1, attn: 2 2, _: 3 }
}
let c = 'x'
"""
    places = [(d.code, d.span.line, d.span.column) for d in errors(text).diagnostics if d.span]
    assert places == [
        ("E0101", 1, 20),
        ("E0101", 1, 26),
        ("E0101", 2, 11),
        ("E0101", 3, 23),
        ("E0104", 3, 38),
        ("E0101", 5, 13),
        ("E0101", 6, 23),
        ("E0101", 6, 34),
        ("E0102", 8, 9),
    ]


def test_an_error_reads_well() -> None:
    assert (
        str(errors("let x = slerp { a\nsave x to 3"))
        == """\
error[E0105]: this `{` is never closed
 --> r.merge:1:15
  |
1 | let x = slerp { a
  |               ^ opened here
2 | save x to 3
  | ---- expected `}` before this

error[E0101]: expected a string, found `3`
 --> r.merge:2:11
  |
2 | save x to 3
  |           ^"""
    )
