"""Graph -> text, one node a line, and back to the same graph.

    mergec-graph 1
    checkpoint c0 "mistralai/Mistral-7B-v0.1" "models/mistralai/Mistral-7B-v0.1"
    origin @0 "core" "merge-14.merge" 210-1180
    %0 = load c0 "model.embed_tokens.weight" : bfloat16[32000,4096] rounded @0
    %2 = ties(%1; base=%0) weight=[0.5] density=[0.8] : bfloat16[32000,4096] @0
    %3 = write 0 "model.embed_tokens.weight" %2 : bfloat16[32000,4096] rounded @0

A parameter that has its default isn't written. `key=[…]` are the streams of a method that draws
random masks, `pool=[…]` the pools of thresholds that the tensors of a model share. Names of
tensors, checkpoints and files are JSON strings. A `#` begins a comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

from ...checkpoints.checkpoint import Checkpoint
from ...grammar.diagnostics import RecipeError, SourceText, Span
from ...ops import delta_arithmetic as arithmetic
from ...ops.dtypes import BY_NAME
from ...ops.method import Method, find_method
from ...ops.parameters import Parameter, Value
from .graph import Graph, Invocation, Invoke, Load, Node, Origin, Space, TensorType, Write, Zero

_VERSION = "mergec-graph 1"
_STRING = r'"(?:[^"\\]|\\.)*"'
_CHECKPOINT = re.compile(rf"checkpoint c(\d+) ({_STRING}) ({_STRING})")
_ORIGIN = re.compile(rf"origin @(\d+) ({_STRING})(?: ({_STRING}) (\d+)-(\d+))?")
_NODE = re.compile(
    r"%(\d+) = (.*) : (\w+)\[([\d,]*)\](?: (delta))?(?: (rounded))?(?: (weak))? @(\d+)"
)
_LOAD = re.compile(rf"load c(\d+) ({_STRING})")
_WRITE = re.compile(rf"write (\d+) ({_STRING}) %(\d+)")
_LIST = r"(?:%\d+(?:, )?)*"
_INVOKE = re.compile(rf"(\w+)\(({_LIST})(?:; beside=({_LIST}))?(?:; base=%(\d+))?\)(.*)")
_PARAMETER = re.compile(r" (\w+)=(\[[^\]]*\]|[^ \[]+)")


def print_graph(graph: Graph) -> Iterator[str]:
    """The lines of a graph's text, without line breaks."""
    yield _VERSION
    checkpoints: dict[Checkpoint, int] = {}
    for node in graph.nodes:
        if isinstance(node.op, Load):
            checkpoints.setdefault(node.op.checkpoint, len(checkpoints))
    for checkpoint, number in checkpoints.items():
        reference, place = json.dumps(checkpoint.reference), json.dumps(checkpoint.place)
        yield f"checkpoint c{number} {reference} {place}"
    for number, origin in enumerate(graph.origins):
        yield f"origin @{number} {_origin(origin)}"
    for index, node in enumerate(graph.nodes):
        yield f"%{index} = {_operation(node, checkpoints)} : {_type(node.type)} @{node.origin}"


def _origin(origin: Origin) -> str:
    text = json.dumps(origin.stage)
    if origin.span is None:
        return text
    place = origin.span
    return f"{text} {json.dumps(place.source.name)} {place.start}-{place.end}"


def _type(kind: TensorType) -> str:
    text = f"{kind.dtype}[{','.join(map(str, kind.shape))}]"
    text += " delta" if kind.space == "delta" else ""
    return text + (" rounded" if kind.rounded else "") + (" weak" if kind.weak else "")


def _operation(node: Node, checkpoints: Mapping[Checkpoint, int]) -> str:
    op = node.op
    if isinstance(op, Load):
        return f"load c{checkpoints[op.checkpoint]} {json.dumps(op.tensor.name)}"
    if isinstance(op, Write):
        return f"write {op.output} {json.dumps(op.name)} %{node.inputs[0]}"
    if isinstance(op, Zero):
        return "zero"
    invocation = op.invocation
    sources = ", ".join(f"%{i}" for i in node.inputs[: invocation.sources])
    beside = node.inputs[invocation.sources : len(node.inputs) - invocation.has_base]
    models = "; beside=" + ", ".join(f"%{i}" for i in beside) if beside else ""
    base = f"; base=%{node.inputs[-1]}" if invocation.has_base else ""
    text = f"{invocation.method.name}({sources}{models}{base}){parameters_text(invocation)}"
    text += f" key=[{', '.join(f'{key:#x}' for key in op.keys)}]" if op.keys else ""
    return text + (f" pool=[{', '.join(map(str, op.pools))}]" if op.pools else "")


def parameters_text(invocation: Invocation) -> str:
    """` name=value` of each parameter that differs from its default."""
    text = ""
    for parameter in invocation.method.parameters:
        name = parameter.name
        rows = invocation.columns if parameter.per_source else (invocation.settings,)
        values = [value_text(row[name]) for row in rows]
        default = None if parameter.required else value_text(parameter.default)
        if any(value != default for value in values):
            text += f" {name}=" + (f"[{', '.join(values)}]" if parameter.per_source else values[0])
    return text


def value_text(value: Value) -> str:
    """A parameter's value; a number so that it reads back bit for bit."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def parse_graph(
    text: str, checkpoints: Iterable[Checkpoint], recipes: Iterable[SourceText] = ()
) -> Graph:
    """The graph of a text that `print_graph` made.

    checkpoints: those that it loads from, found by reference and place. recipes: the texts that
    its origins point into; an origin whose recipe isn't given has no place.
    Errors: RecipeError E0117 at the line that can't be read, or that names what isn't there.
    """
    reader = _Reader(SourceText("<graph>", text), checkpoints, recipes)
    for number, line in enumerate(text.splitlines()):
        reader.line(number, line)
    return reader.graph


class _Reader:
    def __init__(
        self, source: SourceText, checkpoints: Iterable[Checkpoint], recipes: Iterable[SourceText]
    ) -> None:
        self.graph = Graph()
        self._source = source
        self._known = {(c.reference, c.place): c for c in checkpoints}
        self._recipes = {recipe.name: recipe for recipe in recipes}
        self._checkpoints: list[Checkpoint] = []
        self._start = 0
        self._text = ""

    def line(self, number: int, text: str) -> None:
        self._text = text
        start, self._start = self._start, self._start + len(text) + 1
        self._place = Span(self._source, start, start + len(text))
        if number == 0:
            if text != _VERSION:
                self._fail(f"this isn't a graph's text: it must begin with `{_VERSION}`")
        elif not text or text.startswith("#"):
            return
        elif found := _CHECKPOINT.fullmatch(text):
            self._checkpoint(int(found[1]), json.loads(found[2]), json.loads(found[3]))
        elif found := _ORIGIN.fullmatch(text):
            self._origin(found)
        elif found := _NODE.fullmatch(text):
            self._node(found)
        else:
            self._fail("this line is no node, origin or checkpoint")

    def _fail(self, problem: str) -> NoReturn:
        raise RecipeError.of("E0117", problem, span=self._place)

    def _checkpoint(self, number: int, reference: str, place: str) -> None:
        checkpoint = self._known.get((reference, place))
        if checkpoint is None or number != len(self._checkpoints):
            self._fail(f"the checkpoint `{reference}` isn't open, or its number is wrong")
        self._checkpoints.append(checkpoint)

    def _origin(self, found: re.Match[str]) -> None:
        number, stage, name, start, stop = found.groups()
        recipe = self._recipes.get(json.loads(name)) if name else None
        span = Span(recipe, int(start), int(stop)) if recipe else None
        if int(number) != len(self.graph.origins):
            self._fail("the origins' numbers don't follow each other")
        self.graph.origins.append(Origin(json.loads(stage), span))

    def _node(self, found: re.Match[str]) -> None:
        index, operation, dtype, shape, space, rounded, weak, origin = found.groups()
        if dtype not in BY_NAME or int(origin) >= len(self.graph.origins):
            self._fail("the node's dtype or origin isn't known")
        where: Space = "delta" if space else "weight"
        dimensions = tuple(int(size) for size in shape.split(",") if size)
        kind = TensorType(dimensions, BY_NAME[dtype], where, bool(rounded), bool(weak))
        made = self._operation(operation, kind, int(origin))
        if made != int(index) or self.graph.nodes[made].type != kind:
            self._fail("the node's number or type is wrong, or an equal node came before")

    def _operation(self, text: str, kind: TensorType, origin: int) -> int:
        if text == "zero":
            return self.graph.zero(kind, origin)
        if found := _LOAD.fullmatch(text):
            checkpoint, name = self._at(self._checkpoints, found[1]), json.loads(found[2])
            if name not in checkpoint.tensors:
                self._fail(f"{checkpoint.reference} has no tensor `{name}`")
            return self.graph.load(checkpoint, checkpoint.tensors[name], origin)
        if found := _WRITE.fullmatch(text):
            value = self._input(found[3])
            return self.graph.write(int(found[1]), json.loads(found[2]), value, kind.dtype, origin)
        found = _INVOKE.fullmatch(text)
        if found is None:
            self._fail("this is no operation")
        return self._invoke(found, kind, origin)

    def _invoke(self, found: re.Match[str], kind: TensorType, origin: int) -> int:
        name, listed, beside, base, rest = found.groups()
        method = find_method(name) or getattr(arithmetic, name, None)
        if not isinstance(method, Method):
            self._fail(f"unknown method `{name}`")
        sources = tuple(self._input(i) for i in re.findall(r"%(\d+)", listed))
        given = dict(_PARAMETER.findall(rest))
        keys = tuple(int(key, 16) for key in _items(given.pop("key", "[]")))
        pools = tuple(int(pool) for pool in _items(given.pop("pool", "[]")))
        columns: list[dict[str, Value]] = [{} for _ in sources]
        settings: dict[str, Value] = {}
        for parameter in method.parameters:
            written = given.pop(parameter.name, None)
            if parameter.per_source:
                values = self._column(parameter, written, len(sources))
                for row, value in zip(columns, values, strict=True):
                    row[parameter.name] = value
            else:
                settings[parameter.name] = self._value(parameter, written)
        if given:
            self._fail(f"`{name}` has no parameter `{next(iter(given))}`")
        models = tuple(self._input(i) for i in re.findall(r"%(\d+)", beside or ""))
        inputs = sources + models + (() if base is None else (self._input(base),))
        invocation = self.graph.invocation(method, columns, settings, base is not None)
        return self.graph.invoke(Invoke(invocation, keys, pools), inputs, kind, origin)

    def _column(self, parameter: Parameter, text: str | None, count: int) -> list[Value]:
        if text is None:
            return [self._value(parameter, None)] * count
        items = _items(text)
        if len(items) != count:
            self._fail(f"`{parameter.name}` has {len(items)} values for {count} sources")
        return [self._value(parameter, item) for item in items]

    def _value(self, parameter: Parameter, text: str | None) -> Value:
        if text is None:
            if parameter.required:
                self._fail(f"`{parameter.name}` has no value")
            default: Value = parameter.default
            return default
        if parameter.kind == "choice":
            return text  # `none` is one method's choice
        if text == "none":
            return None
        if parameter.kind in ("boolean", "model"):
            return text == "true"
        try:
            return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
        except ValueError:
            self._fail(f"`{text}` isn't a number")

    def _input(self, index: str) -> int:
        if int(index) >= len(self.graph.nodes):
            self._fail(f"%{index} isn't made yet")
        return int(index)

    def _at(self, checkpoints: Sequence[Checkpoint], number: str) -> Checkpoint:
        if int(number) >= len(checkpoints):
            self._fail(f"there is no checkpoint c{number}")
        return checkpoints[int(number)]


def _items(text: str) -> list[str]:
    return [item for item in text.strip("[]").split(", ") if item]
