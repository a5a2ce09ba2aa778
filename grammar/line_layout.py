"""Tokens -> statements: brackets matched, separators settled, one list of tokens a statement.

A new line inside (…) or […] is dropped; elsewhere a new line or a comma becomes one SEP. Brackets
that don't match are reported here, once, and made to match, so that the parser sees a balanced text
and the rest of the file can still be checked.
"""

from __future__ import annotations

from dataclasses import dataclass

from .diagnostics import Diagnostics, Label, Span
from .tokens import COMPARISONS, OPERATORS, STATEMENT_WORDS, Token

CLOSERS = {"LBRACE": "RBRACE", "LPAR": "RPAR", "LSQB": "RSQB"}
_CLOSING_TEXT = {"RBRACE": "}", "RPAR": ")", "RSQB": "]"}
_STATEMENT_TYPES = frozenset(word.upper() for word in STATEMENT_WORDS)
_DEEPENING = OPERATORS | COMPARISONS | {"IF"}
END = "$END"

# A bracket holds up to five levels of tree (block, row, column, match, arm), an operator one. The
# limit keeps every recursive walk over the tree well inside Python's stack.
_BRACKET_DEPTH = 5
_MAX_DEPTH = 250


@dataclass(slots=True)
class _Frame:
    """An open bracket, or the file itself: `first` is the first token type of its current item."""

    opener: Token | None
    index: int
    holds_statements: bool
    first: str | None = None
    depth: int = 0
    quiet: bool = False

    @property
    def has_separators(self) -> bool:
        return self.opener is None or self.opener.type == "LBRACE"


def lay_out(tokens: list[Token], problems: Diagnostics) -> list[list[Token]]:
    """The statements' tokens, each list ended by an END token placed after its last token."""
    return _Layout(tokens, problems).run()


class _Layout:
    def __init__(self, tokens: list[Token], problems: Diagnostics):
        self.raw = tokens
        self.problems = problems
        self.statements: list[list[Token]] = []
        self.current: list[Token] = []
        self.stack = [_Frame(None, 0, holds_statements=True)]
        self.depth = 0

    def run(self) -> list[list[Token]]:
        for index, token in enumerate(self.raw):
            if token.type == "NEWLINE":
                if self.stack[-1].has_separators:
                    self._separate(token)
            elif token.type == "COMMA":
                self._comma(token)
            elif token.type in CLOSERS:
                self._open(token)
            elif token.type in _CLOSING_TEXT:
                self._close(token)
            else:
                if token.type in _STATEMENT_TYPES and self._begins_statement(index):
                    self._close_before_statement(token)
                self._add(token)
            if self.depth > _MAX_DEPTH:
                self.problems.report(
                    "E0109",
                    "this expression is nested too deeply",
                    token.span,
                    hint="name parts of it with `let`",
                )
                self.problems.raise_errors()
        self._close_down_to(1, None)
        self._end_statement("")
        return self.statements

    def _add(self, token: Token) -> None:
        frame = self.stack[-1]
        if frame.first is None:
            frame.first = token.type
        if token.type in _DEEPENING:
            self._deepen(1)
        if token.type == "STRING" and token.quiet:
            # An unterminated string has likely swallowed closing brackets.
            for open_frame in self.stack:
                open_frame.quiet = True
        self.current.append(token)

    def _deepen(self, levels: int) -> None:
        self.stack[-1].depth += levels
        self.depth += levels

    def _next_item(self) -> None:
        frame = self.stack[-1]
        frame.first = None
        self.depth -= frame.depth
        frame.depth = _BRACKET_DEPTH if frame.opener else 0
        self.depth += frame.depth

    def _comma(self, token: Token) -> None:
        if self.stack[-1].has_separators:
            self._separate(token)
        else:
            self._next_item()
            self.current.append(token)

    def _separate(self, token: Token) -> None:
        """A separator: empty items between new lines are none, between commas an error."""
        self._next_item()
        is_comma = token.type == "COMMA"
        if len(self.stack) == 1:
            if self.current:
                self._end_statement(token.text)
            elif is_comma:
                self.problems.report("E0101", "expected a statement, found `,`", token.span)
            return
        last = self.current[-1]
        if last.type == "SEP" and "\n" in (last.text, token.text):
            if is_comma:
                self.current[-1] = Token("SEP", ",", token.span)
        elif is_comma or last.type not in ("LBRACE", "SEP"):
            self.current.append(Token("SEP", token.text, token.span))

    def _end_statement(self, text: str) -> None:
        if self.current:
            place = self.current[-1].span
            span = Span(place.source, place.end, place.end)
            self.current.append(Token(END, text, span))
            self.statements.append(self.current)
            self.current = []

    def _open(self, token: Token) -> None:
        frame = self.stack[-1]
        body = frame.holds_statements and frame.first == "FOR" and token.type == "LBRACE"
        self._add(token)
        if token.type == "LSQB":
            self._deepen(1)  # a slice wraps what it follows
        self.stack.append(_Frame(token, len(self.current) - 1, holds_statements=body))
        self._deepen(_BRACKET_DEPTH)

    def _close(self, token: Token) -> None:
        for height in range(len(self.stack) - 1, 0, -1):
            opener = self.stack[height].opener
            if opener is not None and CLOSERS[opener.type] == token.type:
                self._close_down_to(height + 1, token)
                self._pop(token)
                return
        if not any(frame.quiet for frame in self.stack):
            self.problems.report("E0105", f"this `{token.text}` closes nothing", token.span)
        self._add(Token("JUNK", token.text, token.span))

    def _pop(self, closer: Token) -> None:
        self.depth -= self.stack.pop().depth
        self.current.append(closer)

    def _begins_statement(self, index: int) -> bool:
        """Whether a reserved word can only be the start of a statement, for it begins a line."""
        if self.raw[index].type == "FOR" and not self.stack[-1].holds_statements:
            return False  # rows of a block, or a list
        begins_line = index == 0 or self.raw[index - 1].type == "NEWLINE"
        following = self.raw[index + 1].type if index + 1 < len(self.raw) else "NEWLINE"
        return begins_line and following not in ("EQUAL", "COLON")

    def _close_before_statement(self, token: Token) -> None:
        height = len(self.stack)
        while not self.stack[height - 1].holds_statements:
            height -= 1
        if height < len(self.stack):
            self._close_down_to(height, token)
            self._separate(Token("NEWLINE", "\n", token.span))

    def _close_down_to(self, height: int, found: Token | None) -> None:
        """Closes the brackets that should have been closed before `found` (None: the end)."""
        while len(self.stack) > height:
            frame = self.stack[-1]
            opener = frame.opener
            assert opener is not None
            closing = _CLOSING_TEXT[CLOSERS[opener.type]]
            if not frame.quiet:
                related = (Label(found.span, f"expected `{closing}` before this"),) if found else ()
                self.problems.report(
                    "E0105",
                    f"this `{opener.text}` is never closed",
                    opener.span,
                    label="opened here",
                    related=related,
                )
            if not frame.has_separators or frame.quiet:
                for token in self.current[frame.index :]:
                    token.quiet = True
            last = self.current[-1].span
            place = Span(last.source, last.end, last.end)
            self._pop(Token(CLOSERS[opener.type], closing, place, quiet=True))
