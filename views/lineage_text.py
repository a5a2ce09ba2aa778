"""A lineage -> what a tensor is made of, as a tree: stages, coefficients, sources, places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..compiler.planning.lineage import Lineage

_MOST_LINES = 400


def lineage_text(lineage: Lineage, name: str) -> Iterator[str]:
    """The lines of a tensor's lineage. An entry that was shown before isn't shown again."""
    yield name
    shown: set[int] = set()
    pending: list[tuple[int, str, str, str]] = [(lineage.tensors[name], "", "└─ ", "")]
    lines = 0
    while pending:
        number, indent, branch, extra = pending.pop()
        entry = lineage.entries[number]
        lines += 1
        if lines > _MOST_LINES:
            yield f"{indent}… and more"
            return
        again = number in shown and entry["op"] not in ("load", "zero")
        yield f"{indent}{branch}{_line(entry, extra)}{'  (above)' if again else ''}"
        if again:
            continue
        shown.add(number)
        inner = indent + ("   " if branch.startswith("└") else "│  ")
        inputs = entry.get("inputs", ())
        for place in range(len(inputs) - 1, -1, -1):
            last = place == len(inputs) - 1
            pending.append((inputs[place], inner, "└─ " if last else "├─ ", _column(entry, place)))


def _line(entry: Mapping[str, Any], extra: str) -> str:
    if entry["op"] == "load":
        tensor = f" [{entry['tensor']}]" if "tensor" in entry else ""
        return f"{entry['source']}{tensor}{extra}"
    if entry["op"] == "zero":
        return f"zeros{extra}"
    stage = f"{entry['stage']}  " if entry.get("stage") else ""
    settings = " ".join(f"{k}={_value(v)}" for k, v in entry.get("settings", {}).items())
    place = f"  at {entry['place']}" if entry.get("place") else ""
    return f"{stage}{entry['op']}{'  ' + settings if settings else ''}{place}{extra}"


def _column(entry: Mapping[str, Any], place: int) -> str:
    """The coefficients of a merge's source; what comes after its sources is its base."""
    columns = entry.get("columns", ())
    if place >= len(columns):
        return "  (base)"
    row = " ".join(f"{key}={_value(value)}" for key, value in columns[place].items())
    return f"  {row}" if row else ""


def _value(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
