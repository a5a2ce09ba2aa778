"""x86 assembly of a kernel -> its innermost loops, counted: what a machine does an element."""

from __future__ import annotations

import re
from typing import NamedTuple

_LABEL = re.compile(r"(\.?LBB\w+):")
_VECTOR = re.compile(r"%[xyz]mm\d")


class Loop(NamedTuple):
    """instructions: of one turn; vectors: those on whole vectors of floats or integers; calls;
    spills: values that are put on the stack because registers don't suffice."""

    instructions: int
    vectors: int
    calls: int
    spills: int


def innermost_loops(assembly: str) -> list[Loop]:
    """The loops that hold no other loop, the longest first."""
    blocks: dict[str, list[str]] = {}
    label = ""
    for line in assembly.splitlines():
        if found := _LABEL.match(line):
            label = found[1]
        text = line.strip()
        if line.startswith("\t") and text[0] not in ".#":
            blocks.setdefault(label, []).append(text)
    loops = []
    for name, lines in blocks.items():
        jump = re.compile(rf"j\w+\s+{re.escape(name)}$")
        ends = [place for place, line in enumerate(lines) if jump.match(line)]
        if ends:
            loops.append(_counted(lines[: ends[-1] + 1]))
    return sorted(loops, reverse=True)


def _counted(lines: list[str]) -> Loop:
    return Loop(
        len(lines),
        sum(bool(_VECTOR.search(line)) for line in lines),
        sum(line.startswith("call") for line in lines),
        sum("Spill" in line for line in lines),
    )
