"""Plan -> its stages: a tree where a shared stage is drawn once, and the facts of each.

./merge-14-v0.1  slerp t=[0, 0.5, 1]    291  14.5 GB  written
├─ core  dare_ties of 14, used 2 times  291  14.5 GB  held
│  ├─ base mistralai/Mistral-7B-v0.1
│  └─ …
└─ janai-hq/trinity-v1
./merge-14-v0.2  slerp t=[0, 0.5, 1]    291  14.5 GB  written
├─ janai-hq/trinity-v1
└─ core  (above)

A stage that hangs very deep is `(below)`, with a tree of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple, TypeAlias

from ..compiler.binding.bound import (
    BoundExpr,
    ByName,
    Choice,
    Gradient,
    Matcher,
    Merge,
    Mixture,
    Setting,
    Sliced,
    Source,
    Stack,
)
from ..compiler.binding.bound import MergeInput as SourceRow
from ..compiler.binding.bound import Stage as StageExpr
from ..compiler.binding.model_structure import children
from ..compiler.binding.stage_selection import output_name, source_name
from ..compiler.graph.graph import Graph, Invoke
from ..compiler.graph.graph_text import value_text
from ..compiler.planning.plan import Plan
from ..ops.parameters import Parameter
from ..quantities import count, decimal_size
from .treatment import WORDS, Fate, Key, fates, node_keys

MOST_DEEP = 24
"""A stage that would hang deeper than this in a tree begins a tree of its own."""

_MATCH_WIDTH = 48
Shown = Callable[[str], bool]
"""Whether a name of the stage graph is to be shown."""


@dataclass(frozen=True)
class StageFacts:
    """A stage or output: its outermost operation, what that merges, how often it is used.

    tensors: those that the operation computes; folded: those that need no computing (a source's
    tensor as it is). bytes: of what it computes, in the dtype that its inputs promote to. kind:
    `stage`, or `output` for a `save`. treatments: what becomes of its tensors, and why.
    """

    name: str
    kind: str
    operation: str
    inputs: int
    tensors: int
    folded: int
    bytes: int
    uses: int
    treatments: tuple[Fate, ...]

    @property
    def output(self) -> bool:
        return self.kind == "output"


class Line(NamedTuple):
    """A line of the tree: its text, and the tensors, size and treatment of what it shows."""

    text: str
    tensors: str = ""
    size: str = ""
    how: str = ""


class Stages:
    """The stages of a plan, with what is counted once for all of them."""

    def __init__(self, plan: Plan):
        self.plan = plan
        keys = node_keys(plan.optimised)
        self._after = self._before = _calls(plan.optimised, keys)
        if plan.graph is not plan.optimised:
            self._before = _calls(plan.graph, node_keys(plan.graph))
        self._fates = fates(plan, keys)
        self.uses: Counter[BoundExpr] = Counter(output.value for output in plan.bound.outputs)
        seen: set[BoundExpr] = set()
        pending: list[BoundExpr] = [output.value for output in plan.bound.outputs]
        while pending:
            here = pending.pop()
            if here not in seen:
                seen.add(here)
                below = children(here)
                self.uses.update(below)
                pending.extend(below)

    def facts(self) -> list[StageFacts]:
        """Every stage, inputs first, then every output."""
        bound = self.plan.bound
        found = [
            self._facts(stage.name, "stage", stage.value, self.uses[stage], stage.name, -1)
            for stage in bound.stages
        ]
        found += [
            self._facts(output_name(output), "output", output.value, 1, "", number)
            for number, output in enumerate(bound.outputs)
        ]
        return found

    def of(self, merge: Merge, stage: str, output: int) -> tuple[int, int, int, Sequence[Fate]]:
        """(tensors computed, folded, bytes computed, fates) of a merge where it stands."""
        key = Key(merge.span, stage, -1 if stage else output)
        after, nbytes = self._after.get(key, (0, 0))
        before, _ = self._before.get(key, (0, 0))
        return after, max(0, before - after), nbytes, self._fates.get(key, [])

    def tree(self, shown: Shown = lambda name: True) -> Iterator[Line]:
        """The lines of the tree; parts that aren't to be shown are only counted."""
        tree = _Tree(self, shown)
        for number, output in enumerate(self.plan.bound.outputs):
            name = output_name(output)
            if shown(name):
                yield from tree.draw(_Branch("", "", name, "", number), output.value)
        for stage in reversed(self.plan.bound.stages):
            if shown(stage.name) and stage not in tree.drawn:
                yield from tree.draw(_Branch("", "", "", "", -1), stage)
        for source in tree.missing_sources():
            yield Line(source)

    def _facts(
        self, name: str, kind: str, value: BoundExpr, uses: int, stage: str, output: int
    ) -> StageFacts:
        tensors, folded, nbytes, found = 0, 0, 0, ()
        if isinstance(value, Merge):
            tensors, folded, nbytes, found = self.of(value, stage, output)  # type: ignore[assignment]
        inputs = len(children(value))
        return StageFacts(
            name, kind, operation(value), inputs, tensors, folded, nbytes, uses, tuple(found)
        )


def _calls(graph: Graph, all_keys: Sequence[Sequence[Key]]) -> dict[Key, tuple[int, int]]:
    """(calls of methods, bytes of their results) by merge."""
    found: dict[Key, tuple[int, int]] = {}
    for node, keys in zip(graph.nodes, all_keys, strict=True):
        if keys and isinstance(node.op, Invoke):
            nbytes = node.type.dtype.itemsize * prod(node.type.shape)
            for key in keys:
                calls, total = found.get(key, (0, 0))
                found[key] = calls + 1, total + nbytes
    return found


def operation(value: BoundExpr) -> str:
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
        case Mixture():
            return "moe"


class _Branch(NamedTuple):
    """Where a node of the tree hangs.

    first, rest: the beginnings of its own line, and of those below. label: what is said before it;
    columns: after it. stage: its stage; output: the number of the output that it is drawn in.
    """

    first: str
    rest: str
    label: str
    stage: str
    output: int
    columns: str = ""


_Hanging: TypeAlias = tuple[_Branch, BoundExpr]
"""A node of the tree that isn't drawn yet."""


class _Tree:
    def __init__(self, stages: Stages, shown: Shown):
        self._stages = stages
        self._shown = shown
        self.drawn: set[BoundExpr] = set()
        self._sources: set[str] = set()

    def draw(self, branch: _Branch, value: BoundExpr) -> Iterator[Line]:
        """The lines of a node and of all below it; a stage that hangs too deep has its own tree."""
        deep: dict[StageExpr, _Branch] = {}
        stack: list[Line | _Hanging] = [(branch, value)]
        while stack:
            item = stack.pop()
            if isinstance(item, Line):
                yield item
            elif self._is_deep(*item):
                branch, value = item
                assert isinstance(value, StageExpr)
                words = [branch.label, value.name] if branch.label else [value.name]
                yield Line(branch.first + "  ".join([*words, "(below)"]) + branch.columns)
                deep.setdefault(value, _Branch("", "", "", "", branch.output))
            else:
                line, below = self._node(*item)
                yield line
                stack += reversed(below)
            if not stack and deep:
                value = next(iter(deep))
                stack.append((deep.pop(value), value))

    def _is_deep(self, branch: _Branch, value: BoundExpr) -> bool:
        """Whether a node is a stage that is drawn in a tree of its own."""
        indented = len(branch.first) // 3
        return indented >= MOST_DEEP and isinstance(value, StageExpr) and value not in self.drawn

    def _node(self, branch: _Branch, value: BoundExpr) -> tuple[Line, list[Line | _Hanging]]:
        """(the line of a node, what hangs below it)."""
        words = [branch.label] if branch.label else []
        columns = branch.columns
        while isinstance(value, StageExpr):
            words.append(value.name)
            if value in self.drawn:
                return Line(branch.first + "  ".join([*words, "(above)" + columns])), []
            self.drawn.add(value)
            branch = branch._replace(stage=value.name)
            uses = self._stages.uses[value]
            value = value.value
            if uses > 1:
                columns = f"  used {uses} times{columns}"
        text, *cells = self._describe(value, branch)
        line = Line(branch.first + "  ".join([*words, text]) + columns, *cells)
        return line, list(self._below(value, branch))

    def _below(self, value: BoundExpr, branch: _Branch) -> Iterator[Line | _Hanging]:
        items = list(self._items(value))
        kept = [item for item in items if self._visible(item[1])]
        hidden = len(items) - len(kept)
        for number, (label, item, own) in enumerate(kept):
            last = number == len(kept) - 1 and not hidden
            first, rest = ("└─ ", "   ") if last else ("├─ ", "│  ")
            here = (branch.rest + first, branch.rest + rest, label)
            yield _Branch(*here, branch.stage, branch.output, own), item
        if hidden:
            yield Line(f"{branch.rest}└─ ({count(hidden, 'input')} not selected)")

    def missing_sources(self) -> Iterator[str]:
        """Sources that are to be shown and haven't been drawn beneath a stage."""
        bound = self._stages.plan.bound
        for reference in bound.sources:
            if reference not in self._sources and self._shown(source_name(bound, reference)):
                yield reference

    def _visible(self, value: BoundExpr) -> bool:
        if isinstance(value, StageExpr):
            return self._shown(value.name)
        if isinstance(value, Source):
            return self._shown(source_name(self._stages.plan.bound, value.reference))
        return True

    def _describe(self, value: BoundExpr, branch: _Branch) -> tuple[str, ...]:
        """(text, tensors, size, treatment)."""
        if isinstance(value, Source):
            self._sources.add(value.reference)
        if not isinstance(value, Merge):
            return (operation(value),)
        computed, _, nbytes, found = self._stages.of(value, branch.stage, branch.output)
        rows = len(value.rows)
        of = f" of {rows}" if value.method.sources[1] is None else ""
        text = value.method.name + of + _settings(value.method.settings, value.settings)
        if not computed:  # nothing, or an equal merge elsewhere computes it
            return text, "0", "", "as is"
        how = WORDS[found[0].how] if found else ""
        if len(found) > 1:
            how = f"{how} ({found[0].tensors:,})"
        return text, f"{computed:,}", decimal_size(nbytes), how

    def _items(self, value: BoundExpr) -> Iterator[tuple[str, BoundExpr, str]]:
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
