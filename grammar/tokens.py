"""Recipe text -> tokens: words, numbers, sizes, strings, punctuation; comments set aside.

New lines come out as tokens too; which of them separate statements is for layout.py. Every lexical
error of the text is reported, and what couldn't be read becomes a JUNK token, so that the parser
knows not to report the same place again.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from .diagnostics import Diagnostics, SourceText, Span
from .syntax import Comment

STATEMENT_WORDS = ("let", "param", "set", "save", "for", "import", "use", "def")
_EXPRESSION_WORDS = ("match", "if", "then", "else")
RESERVED_WORDS = frozenset((*STATEMENT_WORDS, *_EXPRESSION_WORDS, "true", "false"))
_SOFT_WORDS = frozenset(("to", "in", "as", "keep", "mergec"))
_WORD_TYPES = {
    **{word: word.upper() for word in (*STATEMENT_WORDS, *_EXPRESSION_WORDS, *_SOFT_WORDS)},
    "true": "BOOLEAN",
    "false": "BOOLEAN",
    "_": "UNDERSCORE",
}
_PUNCTUATION = {
    "{": "LBRACE",
    "}": "RBRACE",
    "(": "LPAR",
    ")": "RPAR",
    "[": "LSQB",
    "]": "RSQB",
    ",": "COMMA",
    ":": "COLON",
    "=": "EQUAL",
    "+": "PLUS",
    "-": "MINUS",
    "*": "STAR",
    "/": "SLASH",
    "..": "RANGE",
    "<": "LESS",
    ">": "GREATER",
    "<=": "AT_MOST",
    ">=": "AT_LEAST",
    "==": "SAME",
    "!=": "UNLIKE",
    "?": "MAYBE",
}
OPERATORS = frozenset(("PLUS", "MINUS", "STAR", "SLASH", "RANGE"))
COMPARISONS = frozenset(("LESS", "GREATER", "AT_MOST", "AT_LEAST", "SAME", "UNLIKE"))
SIZE_UNITS = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", 1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", 1)},
}

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DOTTED_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
# Digits are [0-9]: \d would take in every script's.
_NUMBER = re.compile(r"((?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)")
_TOKEN = re.compile(
    rf"""
      (?P<space>   [ \t\r\ufeff]+ )
    | (?P<newline> \n )
    | (?P<comment> \#[^\n]* )
    | (?P<slashes> //[^\n]* )
    | (?P<path>    (?: \.\.?|~ ) / [^\s"',{{}}()\[\]]* )
    | (?P<word>    {DOTTED_NAME.pattern} )
    | (?P<number>  \.?[0-9] (?: [eE][+-][0-9] | \.(?!\.) | [A-Za-z0-9_] )* )
    | (?P<string>  " (?: [^"\\\n] | \\[^\n] )* "? )
    | (?P<mark>    \.\. | [<>=!]= | [{{}}()\[\],:=+\-*/<>?] )
    | (?P<quoted>  '[^'\n]*' | [‘“„][^’”\n]*[’”] )
    | (?P<junk>    . )
    """,
    re.VERBOSE,
)
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
MAX_DIGITS = 400


@dataclass(slots=True)
class Token:
    """One word of the text. `value` is what a literal stands for.

    `quiet` marks a place where an error was reported already: the parser adds none there.
    """

    type: str
    text: str
    span: Span
    value: int | float | str | bool | None = None
    quiet: bool = False


def is_plain_name(text: str) -> bool:
    """Whether the text can be written as a bare name (one word, not a reserved one)."""
    return bool(NAME.fullmatch(text)) and text not in RESERVED_WORDS and text != "_"


def is_dotted_name(text: str) -> bool:
    """Whether the text can be written as a bare, perhaps dotted, name."""
    return ("." in text and bool(DOTTED_NAME.fullmatch(text))) or is_plain_name(text)


def tokenize(source: SourceText, problems: Diagnostics) -> tuple[list[Token], list[Comment]]:
    """All tokens of the text, new lines included, and its comments; errors go to `problems`."""
    return _Lexer(source, problems).run()


class _Lexer:
    def __init__(self, source: SourceText, problems: Diagnostics):
        self.source = source
        self.problems = problems
        self.tokens: list[Token] = []
        self.comments: list[Comment] = []

    def run(self) -> tuple[list[Token], list[Comment]]:
        add = self.tokens.append
        for found in _TOKEN.finditer(self.source.text):
            kind = found.lastgroup
            if kind == "space":
                continue
            text = found.group()
            span = Span(self.source, found.start(), found.end())
            if kind == "word":
                default = "DOTTED" if "." in text else "NAME"
                type_ = _WORD_TYPES.get(text, default)
                add(Token(type_, text, span, text == "true" if type_ == "BOOLEAN" else text))
            elif kind == "mark":
                add(Token(_PUNCTUATION[text], text, span))
            elif kind == "newline":
                add(Token("NEWLINE", text, span))
            elif kind == "comment":
                self._comment(text, span)
            elif kind == "string":
                add(self._string(text, span))
            elif kind == "path":
                add(self._path(text, span))
            elif kind == "slashes":
                hint = "a comment begins with `#`"
                self.problems.report("E0102", "unexpected `//`", span, hint=hint)
            elif kind == "number":
                add(self._number(text, span))
            else:
                self._junk(text, span)
        return self.tokens, self.comments

    def _comment(self, text: str, span: Span) -> None:
        text = text.rstrip()
        own_line = not self.tokens or self.tokens[-1].type == "NEWLINE"
        place = Span(self.source, span.start, span.start + len(text))
        self.comments.append(Comment(text, own_line, place))

    def _string(self, text: str, span: Span) -> Token:
        closed = len(text) > 1 and text.endswith('"') and _ends_at_quote(text)
        if not closed:
            self.problems.report(
                "E0103",
                'this string has no closing `"`',
                span,
                hint="a string ends on the line where it begins; `\\n` is a new line inside one",
            )
            return Token("STRING", text, span, text[1:], quiet=True)
        return Token("STRING", text, span, self._unescape(text[1:-1], span))

    def _unescape(self, body: str, span: Span) -> str:
        if "\\" not in body and not _has_surrogate(body):
            return body

        def replace(found: re.Match[str]) -> str:
            code = found.group(1)
            if len(code) > 1:
                point = int(code[1:], 16)
                if point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF:
                    return chr(point)
            elif code in _ESCAPES:
                return _ESCAPES[code]
            start = span.start + 1 + found.start()
            self.problems.report(
                "E0118",
                f"unknown escape `{found.group()}` in a string",
                Span(self.source, start, start + len(found.group())),
                hint="a backslash is written `\\\\`; in a path `/` works on every system",
            )
            return found.group()

        value = _ESCAPE.sub(replace, body)
        if _has_surrogate(value):
            self.problems.report("E0119", "this string isn't valid Unicode", span)
        return value

    def _path(self, text: str, span: Span) -> Token:
        """A path without quotes: reported, and read as the string that was meant."""
        hint = f'a path is a string: "{text}"'
        self.problems.report("E0102", f"unexpected `{text}`", span, hint=hint)
        return Token("STRING", text, span, text)

    def _number(self, text: str, span: Span) -> Token:
        found = _NUMBER.fullmatch(text)
        if found is None or len(text) > MAX_DIGITS:
            self.problems.report(
                "E0104",
                f"`{_shorten(text)}` isn't a number",
                span,
                hint="numbers look like `2`, `0.5`, `1e-5`; sizes like `5GB`, `512MiB`",
            )
            return Token("NUMBER", text, span, 0, quiet=True)
        digits, unit = found.groups()
        value: int | float = int(digits) if digits.isdecimal() else float(digits)
        if math.isinf(value):
            self.problems.report("E0104", f"`{_shorten(text)}` is too large a number", span)
            return Token("NUMBER", text, span, 0, quiet=True)
        if not unit:
            return Token("NUMBER", text, span, value)
        if unit not in SIZE_UNITS:
            by_case = {known.lower(): known for known in SIZE_UNITS}
            right = by_case.get(unit.lower())
            self.problems.report(
                "E0104",
                f"`{unit}` isn't a unit of size",
                Span(self.source, span.end - len(unit), span.end),
                hint=f"did you mean `{digits}{right}`?"
                if right
                else "units are KB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (of 1024)",
            )
            return Token("SIZE", text, span, 0, quiet=True)
        size = value * SIZE_UNITS[unit]
        if not math.isfinite(size):
            self.problems.report("E0104", f"`{_shorten(text)}` is too large a number", span)
            size = 0
        return Token("SIZE", text, span, round(size))

    def _junk(self, text: str, span: Span) -> None:
        last = self.tokens[-1] if self.tokens else None
        self.tokens.append(Token("JUNK", text, span))
        if last is not None and last.type == "JUNK" and last.span.end == span.start:
            return  # one report for a run of them
        shown = text if text.isprintable() else f"U+{ord(text[0]):04X}"
        self.problems.report("E0102", f"unexpected `{shown}`", span, hint=_junk_hint(text))


def _ends_at_quote(text: str) -> bool:
    """Whether the last `"` closes the string, rather than being escaped."""
    body = text[1:-1]
    return (len(body) - len(body.rstrip("\\"))) % 2 == 0


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"


def _junk_hint(text: str) -> str | None:
    if text[0] in "'‘’“”„`":
        return 'strings take straight double quotes: "…"'
    if text in "@~\\":
        return 'a model reference or a path is a string: "org/name@revision"'
    if text == ";":
        return "statements are separated by a new line or a comma"
    if text == "\u00a0":
        return "this is a no-break space: type an ordinary one"
    return None
