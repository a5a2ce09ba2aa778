"""A token that the grammar doesn't accept -> one error in plain words, with a hint if one fits."""

from __future__ import annotations

from .diagnostics import Diagnostics, RecipeError, Span, nearest
from .line_layout import END
from .tokens import RESERVED_WORDS, STATEMENT_WORDS, Token

# What each token type is called. Where an expression may begin, all its first tokens are accepted,
# and it is called "an expression" instead.
_EXPECTED = {
    "SEP": "a new line or a comma",
    END: "the end of the line",
    "TO": "`to`",
    "IN": "`in`",
    "AS": "`as`",
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
_OPERATORS = frozenset(("PLUS", "MINUS", "STAR"))
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


def _hint(tokens: list[Token], index: int, accepted: frozenset[str]) -> str | None:
    token = tokens[index]
    before = tokens[index - 1] if index else None
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    if accepted >= _STATEMENT_STARTS:
        return _statement_hint(token, after)
    if token.type == "LPAR" and before is not None and before.type in _NAMES:
        return f"methods take braces: `{before.text} {{ … }}`"
    if token.type == "LBRACE" and (before is None or before.type == "SEP"):
        return "`{` stands on the line of the name before it"
    if token.type == "LBRACE" and before is not None and before.type == "STRING":
        return "only names take braces: `method { … }`"
    if token.type == "COLON" and accepted & {"EQUAL", "SEP"}:
        return "a setting or a column is written `name = value`"
    if token.type == "EQUAL" and "COLON" in accepted:
        return "an arm of a `match` is written `pattern: value`"
    if accepted == {"EQUAL"} and before is not None and before.type == "NAME":
        return "a column is written `name=value`; a new line or a comma separates sources"
    if token.type in ("SEP", END) and before is not None:
        return _line_end_hint(token, before, accepted)
    if token.type == "RSQB" and "COLON" in accepted:
        return "layers are a half-open range: `[0:32]`, `[8:]`, `[:8]`"
    if token.type == "COMMA" and "RPAR" in accepted:
        return "a list takes square brackets"
    if token.text in RESERVED_WORDS and "NAME" in accepted:
        return f"`{token.text}` can't be a name"
    if before is not None and before.text in RESERVED_WORDS and token.type == "EQUAL":
        return f"`{before.text}` can't be a name"
    if token.type == "DOTTED" and "NAME" in accepted:
        return "a new name has no dots"
    if token.type == "NUMBER" and "COLON" in accepted and "STRING" in accepted:
        return "a pattern that isn't a plain word is quoted"
    if token.type in _OPERATORS and token.type not in accepted and _expects_expression(accepted):
        return "an expression goes on over several lines only inside parentheses"
    if "SEP" in accepted or END in accepted:
        return _crowded_hint(token, before, accepted)
    if token.type in _NAMES and "STRING" in accepted and "NUMBER" not in accepted:
        return f'quote it: "{token.text}"'
    return None


def _statement_hint(token: Token, after: Token | None) -> str:
    if token.type in _NAMES and after is not None and after.type == "EQUAL":
        return f"to name something write `let {token.text} = …`"
    if token.type in _OPERATORS:
        return "an expression goes on over several lines only inside parentheses"
    if token.type == "LBRACE":
        return "`{` stands on the line of the name before it"
    if token.type in _NAMES and after is not None and after.type == "LBRACE":
        return f'write `save {token.text} {{ … }} to "PATH"`'
    near = nearest(token.text, STATEMENT_WORDS) if token.type in _NAMES else None
    if near:
        return f"did you mean `{near}`?"
    return "a statement begins with `let`, `param`, `set`, `save`, `for` or `import`"


def _line_end_hint(token: Token, before: Token, accepted: frozenset[str]) -> str | None:
    if token.text == ",":
        return None
    if before.type in _OPERATORS:
        return "an expression goes on over several lines only inside parentheses"
    if before.type == "EQUAL" and token.text == "\n":
        return "the value begins on the line of its `=`"
    if "TO" in accepted and "NAME" not in accepted:
        return 'an output is written `save model to "PATH"`'
    if "LBRACE" in accepted:
        return "`{` stands on the line of the name before it"
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
