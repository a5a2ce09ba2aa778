"""Plan -> its stages: a tree where a shared stage is drawn once, and the facts of each.

./merge-14-v0.1  slerp t=[0, 0.5, 1]  291 tensors
├─ core  dare_ties of 14  291 tensors, used 2 times
│  ├─ base mistralai/Mistral-7B-v0.1
│  └─ …
└─ janai-hq/trinity-v1
./merge-14-v0.2  slerp t=[0, 0.5, 1]  291 tensors
├─ janai-hq/trinity-v1
└─ core  (above)
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...ops.method import Parameter
from ..bound import ByName, Choice, Expr, Gradient, Matcher, Merge, Setting, Sliced, Source, Stack
from ..bound import Row as SourceRow
from ..bound import Stage as StageExpr
from ..graph import Graph, Invoke
from ..graph_text import value_text
from ..plan import Plan
from ..structure import children
from .units import count

_MATCH_WIDTH = 48


@dataclass(frozen=True)
class StageFacts:
    """A stage or output: its outermost operation, how many inputs that has, how often it is used.

    tensors: those that the operation computes; folded: those that need no computing (a source's
    tensor as it is). output: whether it is a `save`.
    """

    name: str
    operation: str
    inputs: int
    tensors: int
    folded: int
    uses: int
    output: bool


def stage_facts(plan: Plan) -> list[StageFacts]:
    """Every stage, inputs first, then every output."""
    counts = _Counts(plan)
    facts = [
        _facts(counts, stage.name, stage.value, counts.uses[stage], False)
        for stage in plan.bound.stages
    ]
    facts += [_facts(counts, str(o.path), o.value, 1, True) for o in plan.bound.outputs]
    return facts


def stage_tree(plan: Plan) -> Iterator[str]:
    """The lines of the tree."""
    tree = _Tree(plan)
    for output in plan.bound.outputs:
        yield from tree.draw(_Branch("", "", shown_path(str(output.path))), output.value)


def shown_path(path: str) -> str:
    """A path as a person would type it here: relative where that is shorter."""
    relative = os.path.relpath(path)
    if relative.startswith(".." + os.sep + "..") or len(relative) > len(path):
        return path
    return relative if relative.startswith(".") else os.path.join(".", relative)


class _Counts:
    """Tensors that each merge computes, before and after optimisation, and each stage's uses."""

    def __init__(self, plan: Plan):
        self.before = _computed(plan.graph)
        self.after = _computed(plan.optimised)
        self.uses: Counter[Expr] = Counter(output.value for output in plan.bound.outputs)
        seen: set[Expr] = set()
        stack: list[Expr] = [output.value for output in plan.bound.outputs]
        while stack:
            here = stack.pop()
            if here not in seen:
                seen.add(here)
                below = children(here)
                self.uses.update(below)
                stack.extend(below)

    def of(self, merge: Merge) -> tuple[int, int]:
        """(computed, folded)."""
        after = self.after[id(merge.span)]
        return after, max(0, self.before[id(merge.span)] - after)


def _computed(graph: Graph) -> Counter[int]:
    """Calls of methods by the identity of their merge's span."""
    found: Counter[int] = Counter()
    spans = [id(origin.span) for origin in graph.origins]
    for node in graph.nodes:
        if isinstance(node.op, Invoke):
            found[spans[node.origin]] += 1
    return found


def _facts(counts: _Counts, name: str, value: Expr, uses: int, output: bool) -> StageFacts:
    tensors, folded = counts.of(value) if isinstance(value, Merge) else (0, 0)
    inputs = len(children(value))
    return StageFacts(name, operation(value), inputs, tensors, folded, uses, output)


def operation(value: Expr) -> str:
    """What an expression does, in a word."""
    match value:
        case Merge():
            return value.method.name
        case Source():
            return value.reference
        case StageExpr():
            return value.name
        case Sliced():
            return f"layers {_bounds(value)}"
        case Stack():
            return "stack"
        case Choice():
            return "match"


class _Branch(NamedTuple):
    """Where a node of the tree hangs: its own lines' beginnings, and what is said before it."""

    first: str
    rest: str
    label: str


class _Tree:
    def __init__(self, plan: Plan):
        self._counts = _Counts(plan)
        self._drawn: set[Expr] = set()

    def draw(self, branch: _Branch, value: Expr, columns: str = "") -> Iterator[str]:
        words = [branch.label] if branch.label else []
        while isinstance(value, StageExpr):
            words.append(value.name)
            if value in self._drawn:
                yield branch.first + "  ".join([*words, "(above)" + columns])
                return
            self._drawn.add(value)
            uses = self._counts.uses[value]
            value = value.value
            if uses > 1:
                columns = f"  used {uses} times{columns}"
        words.append(self._describe(value))
        yield branch.first + "  ".join(words) + columns
        items = list(self._items(value))
        for number, (label, item, own) in enumerate(items):
            last = number == len(items) - 1
            first, rest = ("└─ ", "   ") if last else ("├─ ", "│  ")
            below = _Branch(branch.rest + first, branch.rest + rest, label)
            yield from self.draw(below, item, own)

    def _describe(self, value: Expr) -> str:
        if not isinstance(value, Merge):
            return operation(value)
        computed, folded = self._counts.of(value)
        rows = len(value.rows)
        of = f" of {rows}" if value.method.sources[1] is None else ""
        text = value.method.name + of + _settings(value.method.settings, value.settings)
        text += f"  {count(computed, 'tensor')}"
        return text + (f", {folded:,} taken as they are" if folded else "")

    def _items(self, value: Expr) -> Iterator[tuple[str, Expr, str]]:
        """(label, expression, its columns) of each part."""
        match value:
            case Merge():
                if value.base is not None:
                    yield "base", value.base, ""
                for row in value.rows:
                    yield "", row.value, _columns(value, row)
                    yield from ((name, model, "") for name, model in row.models.items())
            case Choice():
                for matcher, arm in value.arms:
                    yield _pattern(matcher) + ":", arm, ""
            case _:
                for part in children(value):
                    yield "", part, ""


def _columns(merge: Merge, row: SourceRow) -> str:
    return _settings(merge.method.columns, row.columns)


def _settings(parameters: Sequence[Parameter], values: Mapping[str, Setting]) -> str:
    """` name=value` for each that isn't the default."""
    text = ""
    for parameter in parameters:
        if parameter.kind == "model":
            continue
        value = values[parameter.name]
        if parameter.required or value != parameter.default:
            text += f" {parameter.name}={setting_text(value)}"
    return f" {text}" if text else ""


def setting_text(setting: Setting) -> str:
    """A parameter's value as a recipe writes it; a long `match` without what it picks from."""
    match setting:
        case Gradient():
            return f"[{', '.join(setting_text(knot) for knot in setting.knots)}]"
        case ByName():
            arms = (f"{_pattern(m)}: {setting_text(value)}" for m, value in setting.arms)
            text = f"match {{ {', '.join(arms)} }}"
            short = f"match {{ {', '.join(_pattern(m) for m, _ in setting.arms)} }}"
            return text if len(text) <= _MATCH_WIDTH else short
        case float():
            return f"{setting:g}"
        case _:
            return value_text(setting)


def _pattern(matcher: Matcher) -> str:
    pattern = matcher.pattern
    return f'"{pattern.text}"' if pattern.kind == "glob" else pattern.text


def _bounds(value: Sliced) -> str:
    start, stop = ("" if bound is None else str(bound) for bound in (value.start, value.stop))
    return f"[{start}:{stop}]"
