"""A recipe's expressions -> what each source weighs where: layers by modules, for each merge.

core  dare_ties
  org/a  weight
    self_attn    ▁▃▅▇█  0 … 1
    mlp          ▅▅▅▅▅  0.5

A row is a module: the first word of its tensors' names within a layer, or the whole of it where its
tensors differ. So a gradient or a filter that misses its aim is seen before it is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..checkpoints.layers import Layers
from ..compiler.binding.bound import (
    Bound,
    BoundExpr,
    Merge,
    Setting,
    Sliced,
    Source,
    Stack,
    Stage,
    Uncovered,
    evaluate,
)
from ..compiler.binding.model_structure import Structures, children
from ..compiler.binding.stage_selection import output_name
from ..compiler.recursion import deep_recursion
from ..grammar.diagnostics import Diagnostics

_SHADES = "▁▂▃▄▅▆▇█"


class Cell(NamedTuple):
    """A module's place: its layer, None outside them; and its value, None where there is none."""

    layer: int | None
    value: float | None


class ModuleRow(NamedTuple):
    """A module's values, layer by layer."""

    module: str
    cells: tuple[Cell, ...]


class Coefficients(NamedTuple):
    """One parameter of a merge, of one source or (source: empty) of all of them."""

    stage: str
    operation: str
    source: str
    parameter: str
    rows: tuple[ModuleRow, ...]

    @property
    def largest(self) -> float:
        """The largest magnitude, at least a little."""
        values = (abs(cell.value or 0.0) for row in self.rows for cell in row.cells)
        return max(values, default=0.0) or 1.0

    @property
    def everywhere(self) -> float | None:
        """The value that it has in every layer of every module; None where it has several."""
        values = {cell.value for row in self.rows for cell in row.cells}
        return values.pop() if len(values) == 1 else None


@deep_recursion()
def coefficients(bound: Bound) -> list[Coefficients]:
    """The numeric parameters of every merge of a recipe that its author gave, inputs first."""
    structures = Structures(Diagnostics())
    found: list[Coefficients] = []
    seen: set[BoundExpr] = set()

    def walk(expr: BoundExpr, stage: str, shift: int) -> None:
        value = expr.value if isinstance(expr, Stage) else expr
        stage, shift = (expr.name, 0) if isinstance(expr, Stage) else (stage, shift)
        if value in seen:
            return
        seen.add(value)
        offset = 0
        for part in children(value):
            walk(part, stage, shift + offset if isinstance(value, Stack) else shift)
            offset += structures.layers(part).count if isinstance(value, Stack) else 0
        if isinstance(value, Merge):
            found.extend(_of_merge(value, stage, shift, structures))

    for output in bound.outputs:
        walk(output.value, output_name(output), 0)
    return found


def coefficients_text(found: Sequence[Coefficients]) -> Iterator[str]:
    """The coefficients as lines: a shade a layer, then the values in words."""
    last = ("", "")
    for item in found:
        if (item.stage, item.operation) != last:
            if last != ("", ""):
                yield ""
            yield f"{item.stage}  {item.operation}"
            last = (item.stage, item.operation)
        same = "" if item.everywhere is None else f"  {item.everywhere:g} everywhere"
        yield f"  {item.source or 'all sources'}  {item.parameter}{same}"
        if same:
            continue
        width = max(len(row.module) for row in item.rows)
        depth = max(len(row.cells) for row in item.rows)
        for row in item.rows:
            shades = "".join(_shade(cell.value, item.largest) for cell in row.cells)
            yield f"    {row.module:<{width}}  {shades:<{depth}}  {in_words(row)}"


def in_words(row: ModuleRow) -> str:
    """A row's values: one, the ends of a gradient, or how many different ones."""
    values = [cell.value for cell in row.cells]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return f"no value for {len(values) - len(known)} of {len(values)}"
    if len(set(known)) == 1:
        return f"{known[0]:g}"
    between = f", {min(known):g} to {max(known):g} between"
    inside = {min(known), max(known)} <= {known[0], known[-1]}
    return f"{known[0]:g} … {known[-1]:g}" + ("" if inside else between)


def _of_merge(
    merge: Merge, stage: str, shift: int, structures: Structures
) -> Iterator[Coefficients]:
    layers, names = structures.layers(merge), [*structures.names(merge)]
    for row in merge.rows:
        inner = _inner_start(row.value)
        for name, setting in row.columns.items():
            if rows := _rows(setting, names, layers, inner):
                yield Coefficients(stage, merge.method.name, _called(row.value), name, rows)
    for name, setting in merge.settings.items():
        if (merge.spans.get(name) is not None) and (rows := _rows(setting, names, layers, shift)):
            yield Coefficients(stage, merge.method.name, "", name, rows)


def _rows(
    setting: Setting, names: Sequence[str], layers: Layers, shift: int
) -> tuple[ModuleRow, ...]:
    """Each module's values; none where the parameter isn't a number."""
    tensors: dict[str, dict[str, Cell]] = {}
    for name in names:
        place = layers.locate(name)
        depth = None if place is None else layers.stacks[place.stack].count
        position = 0.0
        shown = name
        if place is not None and depth is not None:
            position = place.layer / (depth - 1) if depth > 1 else 1.0
            shown = layers.rename(name, place.layer + shift) if shift else name
        try:
            value = evaluate(setting, shown, position, depth)
        except Uncovered:
            value = None
        if isinstance(value, bool | str):
            return ()
        suffix = name.removesuffix(".weight") if place is None else place.suffix
        module = suffix.split(".")[-1] if place is None else suffix.split(".")[0]
        number = None if place is None else place.layer
        tensors.setdefault(module, {})[name] = Cell(number, value)
    found: list[ModuleRow] = []
    for module, cells in tensors.items():
        found += _module(module, cells, layers)
    return tuple(found) if any(c.value is not None for row in found for c in row.cells) else ()


def _module(module: str, cells: Mapping[str, Cell], layers: Layers) -> Iterator[ModuleRow]:
    """A row for a module, or for each of its tensors where they differ within a layer."""
    by_layer: dict[int | None, set[float | None]] = {}
    for cell in cells.values():
        by_layer.setdefault(cell.layer, set()).add(cell.value)
    if all(len(values) == 1 for values in by_layer.values()):
        yield ModuleRow(
            module,
            tuple(Cell(layer, *values) for layer, values in sorted(by_layer.items(), key=_order)),
        )
        return
    by_suffix: dict[str, list[Cell]] = {}
    for name, cell in cells.items():
        place = layers.locate(name)
        suffix = name if place is None else place.suffix
        by_suffix.setdefault(suffix.removesuffix(".weight"), []).append(cell)
    for suffix, found in by_suffix.items():
        yield ModuleRow(suffix, tuple(sorted(found, key=lambda cell: cell.layer or 0)))


def _order(item: tuple[int | None, object]) -> int:
    return -1 if item[0] is None else item[0]


def _inner_start(expr: BoundExpr) -> int:
    """How far a source's layers are shifted against the merge's: a slice begins later."""
    return expr.start or 0 if isinstance(expr, Sliced) else 0


def _called(expr: BoundExpr) -> str:
    while isinstance(expr, Sliced):
        expr = expr.value
    if isinstance(expr, Source):
        return expr.reference
    return expr.name if isinstance(expr, Stage) else "a merge"


def _shade(value: float | None, largest: float) -> str:
    if value is None:
        return "?"
    share = min(abs(value) / largest, 1.0)
    return " " if value == 0 else _SHADES[round(share * (len(_SHADES) - 1))]
