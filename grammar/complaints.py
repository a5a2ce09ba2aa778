"""A token that the grammar doesn't accept -> one error in plain words, with a hint if one fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from .diagnostics import Diagnostics, RecipeError, Span, nearest
from .line_layout import END
from .tokens import OPERATORS, RESERVED_WORDS, STATEMENT_WORDS, Token

# What each token type is called. Where an expression may begin, all its first tokens are accepted,
# and it is called "an expression" instead.
_EXPECTED = {
    "SEP": "a new line or a comma",
    END: "the end of the line",
    "TO": "`to`",
    "IN": "`in`",
    "AS": "`as`",
    "THEN": "`then`",
    "ELSE": "`else`",
    "EQUAL": "`=`",
    "COLON": "`:`",
    "COMMA": "`,`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "RPAR": "`)`",
    "RSQB": "`]`",
    "NUMBER": "a number",
    "NAME": "a name",
    "STRING": "a string",
}
_STATEMENT_STARTS = frozenset(word.upper() for word in STATEMENT_WORDS)
_NAMES = frozenset(("NAME", "DOTTED", "TO", "IN", "AS", "KEEP", "MERGEC"))
# Any of these begins a recipe of mergekit's.
_YAML_KEYS = frozenset(
    (
        "models",
        "slices",
        "modules",
        "merge_method",
        "base_model",
        "parameters",
        "dtype",
        "out_dtype",
        "name",
        "tokenizer",
        "tokenizer_source",
        "chat_template",
    )
)


def looks_like_yaml(tokens: list[Token]) -> None:
    """Raises RecipeError where the text begins as mergekit's YAML does."""
    words = [token for token in tokens if token.type != "NEWLINE"][:5]
    types = [word.type for word in words]
    has_marker = types[:3] == ["MINUS"] * 3
    key, colon = (3, 4) if has_marker else (0, 1)
    has_key = len(words) > colon and words[key].text in _YAML_KEYS and types[colon] == "COLON"
    if not (has_marker or has_key):
        return
    raise RecipeError.of(
        "E0108",
        "this looks like a YAML recipe, not like `.merge` text",
        span=words[0].span,
        hint="give the file a name that ends in .yaml or .yml",
    )


def explain_failure(
    tokens: list[Token], index: int, accepted: frozenset[str], problems: Diagnostics
) -> None:
    """Reports the token at `index`, where the grammar accepts only tokens of `accepted`."""
    token = tokens[index]
    expected = _describe_accepted(accepted)
    problems.report(
        "E0101",
        f"expected {expected}, found {_describe_found(token)}",
        _place(tokens, index),
        hint=_hint(tokens, index, accepted),
    )


def _describe_accepted(accepted: frozenset[str]) -> str:
    if accepted >= _STATEMENT_STARTS:
        return "a statement"
    words = []
    rest = accepted - {"ERROR"}
    if _expects_expression(accepted):
        words.append("an expression")
        rest -= {"NAME", "NUMBER", "STRING"}
    if "NAME" in accepted:
        rest -= _NAMES - {"NAME"}
    words += [text for type_, text in _EXPECTED.items() if type_ in rest]
    if "SEP" in rest or END in rest:
        # A finished item can go on in many ways; the plain one says what is wrong.
        words = [w for w in words if w not in ("a name", "the end of the line")] or words
    if len(words) > 1:
        return ", ".join(words[:-1]) + " or " + words[-1]
    return words[0] if words else "something else"


def _describe_found(token: Token) -> str:
    if token.type == END and not token.text:
        return "the end of the file"
    if token.type in ("SEP", END) and token.text == "\n":
        return "the end of the line"
    text = token.text if len(token.text) <= 40 else token.text[:37] + "…"
    if token.type == "STRING":
        return f"the string {text}"
    if token.text in RESERVED_WORDS:
        return f"the reserved word `{text}`"
    return f"`{text}`"


def _place(tokens: list[Token], index: int) -> Span:
    """The token's own place; the end of a line is the place right after the last token on it."""
    token = tokens[index]
    if token.type == "SEP" and token.text == "\n" and index > 0:
        last = tokens[index - 1].span
        return Span(last.source, last.end, last.end)
    return token.span


@dataclass(frozen=True, slots=True)
class _Case:
    """A token that isn't accepted, and what stands around it."""

    tokens: list[Token]
    index: int
    accepted: frozenset[str]

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    @property
    def before(self) -> Token | None:
        return self.tokens[self.index - 1] if self.index else None

    @property
    def after(self) -> Token | None:
        return self.tokens[self.index + 1] if self.index + 1 < len(self.tokens) else None

    def is_(self, *types: str) -> bool:
        return self.token.type in types

    def follows(self, *types: str) -> bool:
        return self.before is not None and self.before.type in types

    def accepts(self, *types: str) -> bool:
        return bool(self.accepted & set(types))

    @property
    def before_text(self) -> str:
        return self.before.text if self.before else ""


_LINES = "an expression goes on over several lines only inside parentheses"
_BRACE = "`{` stands on the line of the name before it"
_Rule = tuple[Callable[[_Case], bool], Callable[[_Case], str | None]]


def _say(text: str) -> Callable[[_Case], str]:
    """A hint with `{before}` and `{token}` for the texts around the place."""
    return lambda case: text.replace("{before}", case.before_text).replace(
        "{token}", case.token.text
    )


# The first rule that applies gives the hint.
_HINTS: tuple[_Rule, ...] = (
    (lambda c: c.accepted >= _STATEMENT_STARTS, lambda c: _statement_hint(c.token, c.after)),
    (lambda c: _path_before(c), lambda c: 'a model reference or a path is a string: "org/name"'),
    (
        lambda c: c.is_("EQUAL", "SEP", "COLON", "LBRACE") and bool(_call_around(c)),
        lambda c: f"methods take braces: `{_call_around(c)} {{ … }}`",
    ),
    (lambda c: c.is_("LBRACE") and (not c.before or c.follows("SEP")), _say(_BRACE)),
    (
        lambda c: c.is_("LBRACE") and c.follows("STRING"),
        _say("only names take braces: `method { … }`"),
    ),
    (
        lambda c: c.is_("COLON") and c.accepts("EQUAL", "SEP"),
        _say("a setting or a column is written `name = value`"),
    ),
    (
        lambda c: c.is_("EQUAL") and c.accepts("COLON"),
        _say("an arm of a `match` is written `pattern: value`"),
    ),
    (
        lambda c: c.accepted == {"EQUAL"} and c.follows("NAME"),
        _say("a column is written `name=value`; a new line or a comma separates sources"),
    ),
    (
        lambda c: c.is_("SEP", END) and c.before is not None,
        lambda c: _line_end_hint(c.token, c.before, c.accepted) if c.before else None,
    ),
    (
        lambda c: c.is_("RSQB") and c.accepts("COLON"),
        _say("layers are a half-open range: `[0:32]`, `[8:]`, `[:8]`"),
    ),
    (lambda c: c.is_("COMMA") and c.accepts("RPAR"), _say("a list takes square brackets")),
    (
        lambda c: c.token.text in RESERVED_WORDS and c.accepts("NAME"),
        _say("`{token}` can't be a name"),
    ),
    (
        lambda c: c.before_text in RESERVED_WORDS and c.is_("EQUAL"),
        _say("`{before}` can't be a name"),
    ),
    (lambda c: c.is_("DOTTED") and c.accepts("NAME"), _say("a new name has no dots")),
    (
        lambda c: c.is_("NUMBER") and {"COLON", "STRING"} <= c.accepted,
        _say("a pattern that isn't a plain word is quoted"),
    ),
    (
        lambda c: (
            c.is_(*OPERATORS) and not c.accepts(c.token.type) and _expects_expression(c.accepted)
        ),
        _say(_LINES),
    ),
    (lambda c: c.accepts("SEP", END), lambda c: _crowded_hint(c.token, c.before, c.accepted)),
    (
        lambda c: c.is_(*_NAMES) and c.accepts("STRING") and not c.accepts("NUMBER"),
        _say('quote it: "{token}"'),
    ),
)


def _hint(tokens: list[Token], index: int, accepted: frozenset[str]) -> str | None:
    case = _Case(tokens, index, accepted)
    return next((hint(case) for applies, hint in _HINTS if applies(case)), None)


def _path_before(case: _Case) -> bool:
    """Whether the place lies in, or right after, something like `org/name` without its quotes."""
    near = case.tokens[max(0, case.index - 6) : case.index + 1]
    return any(
        slash.type == "SLASH" and name.type in _NAMES and name.span.end == slash.span.start
        for name, slash in pairwise(near)
    ) or (case.is_("SLASH") and case.accepts("STRING"))


def _call_around(case: _Case) -> str | None:
    """The name before the parenthesis that the place lies in."""
    depth = 0
    for position in range(case.index - 1, 0, -1):
        kind = case.tokens[position].type
        depth += (kind == "RPAR") - (kind == "LPAR")
        if depth < 0:
            name = case.tokens[position - 1]
            return name.text if name.type in _NAMES else None
    return None


def _statement_hint(token: Token, after: Token | None) -> str:
    if token.type in _NAMES and after is not None and after.type == "EQUAL":
        return f"to name something write `let {token.text} = …`"
    if token.type in OPERATORS:
        return _LINES
    if token.type == "LBRACE":
        return _BRACE
    if token.type in _NAMES and after is not None and after.type == "LBRACE":
        return f'write `save {token.text} {{ … }} to "PATH"`'
    near = nearest(token.text, STATEMENT_WORDS) if token.type in _NAMES else None
    if near:
        return f"did you mean `{near}`?"
    return "a statement begins with `let`, `param`, `set`, `save`, `for`, `import`, `use` or `def`"


def _line_end_hint(token: Token, before: Token, accepted: frozenset[str]) -> str | None:
    if token.text == ",":
        return None
    if before.type in OPERATORS:
        return _LINES
    if before.type == "EQUAL" and token.text == "\n":
        return "the value begins on the line of its `=`"
    if "TO" in accepted and "NAME" not in accepted:
        return 'an output is written `save model to "PATH"`'
    if "LBRACE" in accepted:
        return _BRACE
    return None


def _crowded_hint(token: Token, before: Token | None, accepted: frozenset[str]) -> str | None:
    """A finished item followed by something else on its line."""
    literal = token.type in ("STRING", "NUMBER", "SIZE", "BOOLEAN")
    if literal and "EQUAL" in accepted and before is not None and before.type == "NAME":
        return f"did you mean `{before.text} = {token.text}`?"
    if literal or token.type in ("MATCH", *_NAMES, *_STATEMENT_STARTS):
        return "separate them with a new line or a comma"
    return None


def _expects_expression(accepted: frozenset[str]) -> bool:
    return "MATCH" in accepted and "LPAR" in accepted
