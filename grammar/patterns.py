r"""A pattern's text -> whether it matches a tensor's name: one rule wherever names are picked.

mlp                  a bare word: any name that contains it
"layers.0"           quoted: any run of whole segments (the parts between dots)
"layers.*.mlp"       `*` any characters of one segment, `?` one of them, `**` any, dots too
"layers.{0..7}"      braces: a range of numbers, both ends in it, or a list: `{q,k,v}_proj`
"layers.{-4..-1}"    numbers below 0 count from the end: -1 is the model's last layer
"a\\*b"              a backslash (in a string two) before a sign that should mean itself
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from .diagnostics import Span
from .syntax import Pattern
from .tokens import is_dotted_name

Test = Callable[[str], bool]

_RANGE = re.compile(r"(-?[0-9]{1,6})\.\.(-?[0-9]{1,6})")
_MOST = 100_000  # numbers in one range
_SIGNS = r"\*?{}"
_SIGN = re.compile(r"[*?{}\\]")


class PatternError(ValueError):
    """What is wrong with a pattern's text."""


def pattern_of(text: str, span: Span) -> Pattern:
    """The pattern that a text outside of the language means: a plain word, `_`, or a quoted one."""
    if text == "_":
        return Pattern("default", text, span)
    return Pattern("word" if is_dotted_name(text) else "glob", text, span)


def containing(text: str) -> str:
    """The text of the quoted pattern that matches names that contain a text, dots and all."""
    return f"**{_SIGN.sub(_escaped, text)}**"


def _escaped(found: re.Match[str]) -> str:
    return "\\" + found.group()


@functools.lru_cache(maxsize=4096)
def name_test(kind: str, text: str, depth: int | None = None) -> Test:
    """Whether a name matches a pattern of a kind (`word`, `glob` or `default`).

    depth: the number of layers, which numbers below 0 count from; where it isn't known they match
    nothing. Raises PatternError for a text that isn't a pattern.
    """
    if kind == "default":
        return lambda name: True
    if kind == "word":
        return lambda name: text in name
    found = re.compile(rf"(?:^|\.){_expression(text, depth)}(?:\.|$)").search
    return lambda name: found(name) is not None


def is_relative(text: str) -> bool:
    """Whether a quoted pattern counts layers from the end."""
    return any(low.startswith("-") or high.startswith("-") for low, high in _RANGE.findall(text))


def check_pattern(pattern: Pattern) -> str | None:
    """What is wrong with a pattern, or None."""
    try:
        name_test(pattern.kind, pattern.text)
    except PatternError as error:
        return str(error)
    return None if pattern.text else "a pattern can't be empty"


def _expression(text: str, depth: int | None) -> str:
    return "".join(_parts(text, depth))


def _parts(text: str, depth: int | None) -> Iterator[str]:
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char == "\\" and text[position : position + 1] in _SIGNS:
            yield re.escape(text[position])
            position += 1
        elif char == "*":
            double = text[position : position + 1] == "*"
            position += double
            yield ".*" if double else r"[^.]*"
        elif char == "?":
            yield r"[^.]"
        elif char == "{":
            end = text.find("}", position)
            if end < 0:
                raise PatternError("this pattern's `{` is never closed")
            yield _choice(text[position:end], depth)
            position = end + 1
        elif char == "}":
            raise PatternError("this pattern's `}` closes nothing")
        else:
            yield re.escape(char)


def _choice(inside: str, depth: int | None) -> str:
    if (found := _RANGE.fullmatch(inside)) is None:
        words = inside.split(",")
        if len(words) < 2 or not all(word.strip() for word in words):
            raise PatternError(
                f"`{{{inside}}}` is neither a range, `{{0..7}}`, nor a list, `{{q,k}}`"
            )
        return f"(?:{'|'.join(_expression(word.strip(), depth) for word in words)})"
    ends = [int(end) for end in found.groups()]
    if any(end < 0 for end in ends):
        if depth is None:
            return "(?!)"  # matches nothing
        ends = [end + depth if end < 0 else end for end in ends]
    low, high = ends
    if depth is None and low > high:
        raise PatternError(f"the range `{{{inside}}}` has its end before its start")
    if high - low >= _MOST:
        raise PatternError(f"the range `{{{inside}}}` is too long")
    numbers = "|".join(str(number) for number in range(max(low, 0), high + 1))
    return f"(?:{numbers})" if numbers else "(?!)"
