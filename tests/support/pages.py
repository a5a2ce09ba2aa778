"""The blocks of a page in docs/, and the grammar as its readers get it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mergec.grammar.tokens import _PUNCTUATION, _WORD_TYPES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class PageBlock:
    """A fenced block; note: what the comment on the line before says."""

    language: str
    text: str
    note: str
    line: int


def blocks(page: str) -> list[PageBlock]:
    """All fenced blocks of docs/PAGE."""
    text = (DOCS / page).read_text("utf-8")
    return [
        PageBlock(
            found["language"],
            found["text"],
            found["note"] or "",
            text.count("\n", 0, found.start()),
        )
        for found in _BLOCK.finditer(text)
    ]


def readers_grammar() -> str:
    """merge.lark without what only the parser needs, its tokens as they are written."""
    text = (ROOT / "grammar" / "merge.lark").read_text("utf-8")
    lines = [line for line in text.split("\n") if not line.startswith(("//", "%", "error:"))]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
    text = re.sub(r" -> \w+", "", text).replace(" | error", "")
    text = re.sub(r"^\?", "", text, flags=re.M)
    text = re.sub(r"\b_(\w+)", r"\1", text)
    text = re.sub(r"^(\w+): \1\n", "", text, flags=re.M)
    shown = {kind: f'"{word}"' for word, kind in (*_WORD_TYPES.items(), *_PUNCTUATION.items())}
    shown |= {"BOOLEAN": '("true" | "false")'}
    return re.sub(r"\b[A-Z_]+\b", lambda token: shown.get(token[0], token[0]), text)
