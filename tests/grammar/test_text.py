"""`.merge` text -> syntax tree: the language page's recipes, and each form of the language."""

from __future__ import annotations

from pathlib import Path

import pytest
from mergec.grammar import SourceText, parse, parse_text
from mergec.grammar.syntax import (
    Arm,
    Binary,
    Block,
    Boolean,
    ExprSyntax,
    For,
    Import,
    Let,
    List,
    Match,
    Name,
    Negate,
    Number,
    Param,
    Pattern,
    RowSyntax,
    Save,
    Set,
    Setting,
    SizeSyntax,
    Slice,
    Statement,
    String,
    Version,
)

RECIPES = sorted((Path(__file__).parent / "recipes").glob("*.merge"))


def statements(text: str) -> tuple[Statement, ...]:
    return parse_text(SourceText("<text>", text)).statements


def value(text: str) -> ExprSyntax:
    (statement,) = statements(f"let x = {text}")
    assert isinstance(statement, Let)
    return statement.value


def n(number: int | float) -> Number:
    return Number(number, None)  # type: ignore[arg-type]


def s(text: str) -> String:
    return String(text, None)  # type: ignore[arg-type]


def name(text: str) -> Name:
    return Name(text, None)  # type: ignore[arg-type]


def setting(key: str, item: ExprSyntax, quoted: bool = False) -> Setting:
    return Setting(key, item, None, None, quoted)  # type: ignore[arg-type]


def row(item: ExprSyntax, *columns: Setting) -> RowSyntax:
    return RowSyntax(item, columns, None)  # type: ignore[arg-type]


def block(key: str, *items: RowSyntax | Setting) -> Block:
    return Block(key, items, None, None)  # type: ignore[arg-type]


def binary(left: ExprSyntax, op: str, right: ExprSyntax) -> Binary:
    return Binary(op, left, right, None, None)  # type: ignore[arg-type]


def arm(kind: str, text: str, item: ExprSyntax) -> Arm:
    return Arm(Pattern(kind, text, None), item, None)  # type: ignore[arg-type]


def match(*arms: Arm) -> Match:
    return Match(arms, None)  # type: ignore[arg-type]


def items(*values: ExprSyntax) -> List:
    return List(values, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_language_page(path: Path) -> None:
    recipe = parse_text(SourceText(path.name, path.read_text()))
    assert any(isinstance(s, Save | For) for s in recipe.statements)
    assert [comment.own_line for comment in recipe.comments] == [True]


def test_ties_recipe_is_this_tree() -> None:
    path = next(path for path in RECIPES if path.stem == "ties")
    merged, save = statements(path.read_text())
    assert isinstance(merged, Let) and isinstance(save, Save)
    assert merged.value == block(
        "ties",
        setting("base", s("mistralai/Mistral-7B-v0.1@main")),
        row(
            s("OpenPipe/mistral-ft-optimized-1218"),
            setting("weight", n(0.5)),
            setting("density", n(0.5)),
        ),
        row(
            s("mlabonne/NeuralHermes-2.5-Mistral-7B"),
            setting("weight", items(n(0), n(0.3), n(0.7), n(1))),
            setting("density", match(arm("word", "mlp", n(0.5)), arm("default", "_", n(0.8)))),
        ),
        setting("normalize", Boolean(True, None)),  # type: ignore[arg-type]
    )
    assert save.value == name("merged")
    assert save.path == s("./NeuralPipe-7B-ties")
    assert save.settings == (setting("dtype", name("float16")),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", n(1)),
        (".5", n(0.5)),
        ("1e-5", n(1e-5)),
        ("2E+3", n(2000.0)),
        ("-0.1", n(-0.1)),
        ("-(0.1)", Negate(n(0.1), None)),  # type: ignore[arg-type]
        ("--1", Negate(n(-1), None)),  # type: ignore[arg-type]
        ("-x", Negate(name("x"), None)),  # type: ignore[arg-type]
        ("5GB", SizeSyntax(5_000_000_000, "5GB", None)),  # type: ignore[arg-type]
        ("512MiB", SizeSyntax(512 << 20, "512MiB", None)),  # type: ignore[arg-type]
        ("1.5KB", SizeSyntax(1500, "1.5KB", None)),  # type: ignore[arg-type]
        ("true", Boolean(True, None)),  # type: ignore[arg-type]
        (r'"a\"b\\c\n\u00e9\U0001f600"', s('a"b\\c\né😀')),
        ("m14.core", name("m14.core")),
        ("to", name("to")),
        ("[1, -2,\n  [x]\n]", items(n(1), n(-2), items(name("x")))),
        ("[]", items()),
        ("[1,]", items(n(1))),
        ("a -0.1 * b", binary(name("a"), "-", binary(n(0.1), "*", name("b")))),
        ("a - b - c", binary(binary(name("a"), "-", name("b")), "-", name("c"))),
        ("a - (\n b - c)", binary(name("a"), "-", binary(name("b"), "-", name("c")))),
        ("a[2:]", Slice(name("a"), n(2), None, None)),  # type: ignore[arg-type]
        ("a[:k - 1]", Slice(name("a"), None, binary(name("k"), "-", n(1)), None)),  # type: ignore[arg-type]
        ("dare-ties { a }", binary(name("dare"), "-", block("ties", row(name("a"))))),
        ("slerp {}", block("slerp")),
        ("slerp { a,\n\n b,\n }", block("slerp", row(name("a")), row(name("b")))),
        ("slerp {\n a\n , b }", block("slerp", row(name("a")), row(name("b")))),
        ('lora { "r" scale=s }', block("lora", row(s("r"), setting("scale", name("s"))))),
        ('union { "<|x|>" = base }', block("union", setting("<|x|>", name("base"), True))),
        (
            'match { q_proj.weight: 1, "*.mlp.*": [0, 1], _: a }',
            match(
                arm("word", "q_proj.weight", n(1)),
                arm("glob", "*.mlp.*", items(n(0), n(1))),
                arm("default", "_", name("a")),
            ),
        ),
    ],
)
def test_expressions(text: str, expected: ExprSyntax) -> None:
    assert value(text) == expected


def test_every_statement() -> None:
    text = (
        'mergec 1\nimport "./a.merge" as a, set seed = 42\n\n'
        "param s = 0.6  # why\nlet y = a.core keep\n"
        'for t in ts {\n  save y to "./{t}"\n}\nfor t in (ts) { let z = t }\n'
    )
    kinds = [type(statement) for statement in statements(text)]
    assert kinds == [Version, Import, Set, Param, Let, For, For]
    let = statements(text)[4]
    assert isinstance(let, Let) and let.keep


def test_windows_line_ends_and_byte_order_mark() -> None:
    assert statements("\ufefflet a = 1\r\nlet b = [\r\n 2]\r\n") == statements(
        "let a = 1\nlet b = [2]"
    )


def test_an_empty_text_is_an_empty_recipe() -> None:
    assert statements("") == statements("\n# nothing\n") == ()


def test_spans_are_what_was_written() -> None:
    text = 'let merged = (a + b) * 2\nsave ties { "x" weight=-1 } to "p" { dtype = float16 }'
    source = SourceText("r.merge", text)
    let, save = parse_text(source).statements

    def written(node: object) -> str:
        span = node.span  # type: ignore[attr-defined]
        return text[span.start : span.end]

    assert isinstance(let, Let) and isinstance(let.value, Binary) and isinstance(save, Save)
    assert written(let) == "let merged = (a + b) * 2"
    assert text[let.name_span.start : let.name_span.end] == "merged"
    assert written(let.value) == "(a + b) * 2"
    assert written(let.value.left) == "(a + b)"
    assert text[let.value.op_span.start : let.value.op_span.end] == "*"
    assert isinstance(save.value, Block) and isinstance(save.value.items[0], RowSyntax)
    assert written(save.value) == 'ties { "x" weight=-1 }'
    assert written(save.value.items[0]) == '"x" weight=-1'
    assert written(save.value.items[0].columns[0].value) == "-1"
    assert written(save.settings[0]) == "dtype = float16"
    assert written(save) == text.split("\n")[1]
    assert (save.span.line, save.span.column) == (2, 1)


def test_comments_have_places() -> None:
    recipe = parse_text(SourceText("r", '# one\nlet a = "#"  # two \n'))
    assert [(c.text, c.own_line, c.span.line) for c in recipe.comments] == [
        ("# one", True, 1),
        ("# two", False, 2),
    ]


def test_the_file_name_chooses_the_language(signatures) -> None:
    text = "let a = 1"
    assert parse(SourceText("a.merge", text), signatures).statements
    with pytest.raises(Exception, match="must be a mapping"):
        parse(SourceText("a.YML", text), signatures)


def test_the_grammar_has_no_conflicts() -> None:
    import lark
    from mergec.grammar import text
    from mergec.grammar.tree_builder import TreeBuilder

    grammar = Path(text.__file__).with_name("merge.lark").read_text()
    lark.Lark(grammar, parser="lalr", lexer=text._NoLexer, strict=True, transformer=TreeBuilder())
