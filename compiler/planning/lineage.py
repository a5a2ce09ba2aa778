"""Graph -> for every output tensor what it is made of, as plain data that an output keeps.

Entries are shared: tensors that are made alike have one, whose leaves say the tensor's name only
where it differs from the output's. Inputs come before their users:

    0  load org/a
    1  load org/b
    2  slerp, t = 0.25, stage core, of 0 and 1
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..graph.graph import Graph, Invoke, Load, Node, Write

Entry: TypeAlias = Mapping[str, Any]
"""`op`: `load`, `zero` or a method. A load has `source`, `file` (a digest of its files' identities)
and, if it isn't the output's, `tensor`. A method has `stage`, `place` (file and line in the
recipe), `columns` (a mapping a source), `settings`, and `inputs`: numbers of entries."""


@dataclass(frozen=True, eq=False)
class Lineage:
    """What an output is made of. tensors: the entry of each, by name."""

    entries: tuple[Entry, ...]
    tensors: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        return {"entries": list(self.entries), "tensors": dict(self.tensors)}


def lineages(graph: Graph, outputs: int) -> tuple[Lineage, ...]:
    """The lineage of each output of an optimised graph."""
    tables = [_Table(graph) for _ in range(outputs)]
    for _, node in graph.writes():
        assert isinstance(node.op, Write)
        tables[node.op.output].add(node.op.name, node.inputs[0])
    return tuple(Lineage(tuple(table.entries), table.tensors) for table in tables)


class _Table:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[str, int] = {}
        self._alike: dict[tuple[type, tuple[object, ...]], int] = {}  # ids: the graph keeps them
        self.entries: list[Entry] = []
        self.tensors: dict[str, int] = {}

    def add(self, name: str, value: int) -> None:
        """Enter an output's tensor, which is this node."""
        found: dict[int, int] = {}
        pending = [value]
        while pending:
            index = pending[-1]
            node = self._graph.nodes[index]
            missing = [i for i in node.inputs if i not in found]
            if missing:
                pending += missing
                continue
            pending.pop()
            if index not in found:
                found[index] = self._number(node, name, found)
        self.tensors[name] = found[value]

    def _number(self, node: Node, name: str, found: Mapping[int, int]) -> int:
        """The node's entry. Most are made as one before, which is seen without making the entry."""
        op = node.op
        alike: tuple[object, ...]
        if isinstance(op, Load):
            tensor = None if op.tensor.name == name else op.tensor.name
            alike = (op.checkpoint, tensor, *op.tensor.files)
        elif isinstance(op, Invoke):
            alike = (op.invocation, node.origin, *(found[i] for i in node.inputs))
        else:
            alike = ()
        number = self._alike.get((type(op), alike))
        if number is None:
            number = self._enter(self._entry(node, name, found))
            self._alike[type(op), alike] = number
        return number

    def _enter(self, entry: Entry) -> int:
        text = json.dumps(entry, sort_keys=True)
        number = self._known.setdefault(text, len(self.entries))
        if number == len(self.entries):
            self.entries.append(entry)
        return number

    def _entry(self, node: Node, name: str, found: Mapping[int, int]) -> Entry:
        op = node.op
        if isinstance(op, Load):
            tensor = {} if op.tensor.name == name else {"tensor": op.tensor.name}
            return {"op": "load", "source": op.checkpoint.reference, "file": _file(op), **tensor}
        if not isinstance(op, Invoke):
            return {"op": "zero"}
        origin = self._graph.origins[node.origin]
        call = op.invocation
        models = {parameter.name for parameter in call.method.model_columns}
        return {
            "op": call.method.name,
            "stage": origin.stage,
            "place": "" if origin.span is None else f"{origin.span.source.name}:{origin.span.line}",
            "columns": [
                {key: value for key, value in row.items() if key not in models}
                for row in call.columns
            ],
            "settings": dict(call.settings),
            "inputs": [found[i] for i in node.inputs],
        }


def _file(load: Load) -> str:
    identities = [file.identity for file in load.tensor.files]
    return hashlib.blake2b(repr(identities).encode(), digest_size=8).hexdigest()


def reason(before: Lineage, now: Lineage, name: str) -> str | None:
    """Why a tensor is made again: its first difference, or None where none is seen.

    `core: t 0.5 -> 0.6`, with a real arrow.
    """
    if name not in before.tensors:
        return "a new tensor"
    if name not in now.tensors:
        return "gone"
    pending = [(before.tensors[name], now.tensors[name])]
    seen: set[tuple[int, int]] = set()
    while pending:
        pair = pending.pop()
        if pair in seen:
            continue
        seen.add(pair)
        old, new = before.entries[pair[0]], now.entries[pair[1]]
        said = _difference(old, new)
        if said is not None:
            stage = new.get("stage") or old.get("stage")
            return f"{stage}: {said}" if stage else said
        pending += reversed(list(zip(old.get("inputs", ()), new.get("inputs", ()), strict=True)))
    return None


def _difference(old: Entry, new: Entry) -> str | None:
    """What differs between two operations themselves; None if nothing does."""
    if old["op"] != new["op"]:
        return f"{_called(old)} → {_called(new)}"
    if old["op"] == "load":
        if old["source"] != new["source"]:
            return f"{old['source']} → {new['source']}"
        if old.get("tensor") != new.get("tensor"):
            return f"another tensor of {new['source']}"
        return f"{new['source']} was written again" if old["file"] != new["file"] else None
    for key, value in new.get("settings", {}).items():
        if (was := old["settings"].get(key)) != value:
            return f"{key}: {_shown(was)} → {_shown(value)}"
    for row, (was, here) in enumerate(
        zip(old.get("columns", ()), new.get("columns", ()), strict=False)
    ):
        for key, value in here.items():
            if was.get(key) != value:
                return f"{key} of source {row + 1}: {_shown(was.get(key))} → {_shown(value)}"
    if len(old.get("inputs", ())) != len(new.get("inputs", ())):
        return f"{len(old['inputs'])} inputs → {len(new['inputs'])}"
    return None


def _called(entry: Entry) -> str:
    return str(entry["source"] if entry["op"] == "load" else entry["op"])


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)


def read_lineage(data: object) -> Lineage | None:
    """A lineage from an output's manifest; None if it isn't one."""
    if not isinstance(data, dict):
        return None
    entries, tensors = data.get("entries"), data.get("tensors")
    if not isinstance(entries, list) or not isinstance(tensors, dict):
        return None
    for number, entry in enumerate(entries):
        inputs = entry.get("inputs", ()) if isinstance(entry, dict) else None
        if inputs is None or not isinstance(entry.get("op"), str):
            return None
        if not all(type(i) is int and 0 <= i < number for i in inputs):
            return None
        if entry["op"] == "load" and not {"source", "file"} <= entry.keys():
            return None
        if not isinstance(entry.get("settings", {}), dict):
            return None
        if not all(isinstance(row, dict) for row in entry.get("columns", ())):
            return None
    if not all(type(i) is int and 0 <= i < len(entries) for i in tensors.values()):
        return None
    return Lineage(tuple(entries), tensors)
