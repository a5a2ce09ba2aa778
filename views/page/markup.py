"""Tags, attributes and text -> markup in which every text is escaped.

    element("td", name, class_="num")

A child that isn't `Markup` is text, wherever it came from, and is escaped; so are all attributes.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any


class Markup(str):
    """Text that is markup already: it isn't escaped again."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | float | bool | None) -> Markup:
    """An element with its end tag.

    `class_` stands for `class`, and `_` in other names for `-`; None and False leave an attribute
    out, True gives it no value.
    """
    return Markup(f"<{tag}{_attributes(attributes)}>{join(children)}</{tag}>")


def join(children: Iterable[str], between: str = "") -> Markup:
    """Markup and escaped text, one after another."""
    return Markup(_text(between).join(map(_text, children)))


def data_block(name: str, data: Any) -> Markup:
    """A script element of JSON, which isn't run; no text in it can end the element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/json" id="{_text(name)}">{text}</script>')


def _attributes(attributes: dict[str, str | float | bool | None]) -> str:
    text = ""
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        text += f" {name}" if value is True else f' {name}="{html.escape(shown)}"'
    return text


def _text(child: str) -> str:
    return child if isinstance(child, Markup) else html.escape(child, quote=False)
