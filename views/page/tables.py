"""Plan -> the tables of its page: sources, stages, outputs, the frontier, planned and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...compiler.planning.estimate import Estimate
from ...compiler.planning.plan import FIXED_BYTES, Plan
from ...compiler.planning.strategies import Strategy
from ...quantities import binary_size, count, decimal_size, duration
from ..plan_facts import FrontierRow, dtypes_of, frontier
from .drawing import row_id, state_text, title
from .markup import Markup, element, join
from .stage_graph import StageGraph

_NAMED = 4  # stages in a cell


class Column(NamedTuple):
    """A column's heading, and whether its cells are numbers."""

    name: str
    number: bool = False


class TableRow(NamedTuple):
    """A row's cells, the first of which names it; its id and style."""

    cells: Sequence[str]
    id: str | None = None
    style: str | None = None


def table(caption: str, columns: Sequence[Column], rows: Iterable[TableRow]) -> Markup:
    """A table in a box that scrolls sideways on its own where the page is narrow."""
    head = element("tr", *(element("th", c.name, scope="col", class_=_style(c)) for c in columns))
    body = [
        element("tr", join(_cells(columns, row.cells)), id=row.id, class_=row.style) for row in rows
    ]
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", head),
            element("tbody", *body),
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def _cells(columns: Sequence[Column], cells: Sequence[str]) -> Iterator[Markup]:
    first, *rest = zip(columns, cells, strict=True)
    yield element("th", first[1], scope="row", class_=_style(first[0]))
    yield from (element("td", cell, class_=_style(column)) for column, cell in rest)


def _style(column: Column) -> str | None:
    return "number" if column.number else None


# The plan's tables ------------------------------------------------------------------------------


def sources_table(plan: Plan, graph: StageGraph) -> Markup:
    """Sources with their bytes, dtypes and shards, and what the plan reads of them."""
    numbers = {node.name: i for i, node in enumerate(graph.nodes) if node.kind == "source"}
    read = bytes_read_of(plan)
    rows = [
        TableRow(
            (
                reference,
                (found.revision or "–")[:7],
                ", ".join(dtypes_of(found)),
                f"{len(found.files):,}",
                f"{len(found.tensors):,}",
                decimal_size(found.nbytes),
                decimal_size(read[reference]),
            ),
            row_id(numbers[reference]) if reference in numbers else None,
        )
        for reference, found in plan.bound.sources.items()
    ]
    columns = (
        Column("Source"),
        Column("Revision"),
        Column("Dtype"),
        Column("Shards", True),
        Column("Tensors", True),
        Column("Size", True),
        Column("Read", True),
    )
    return table("Sources", columns, rows)


def bytes_read_of(plan: Plan) -> Counter[str]:
    """Bytes that sweeps read from each source, by reference: together the plan's `bytes_read`."""
    found: Counter[str] = Counter()
    known: dict[Strategy, Counter[int]] = {}
    for component, choice in zip(plan.components, plan.choices, strict=True):
        times = known.get(choice)
        if times is None:
            times = known[choice] = _times_read(choice)
        for slot, number in times.items():
            load = component.loads[slot]
            found[load.checkpoint.reference] += number * load.tensor.nbytes
    return found


def _times_read(choice: Strategy) -> Counter[int]:
    if not choice.sweeps:  # a copy
        return Counter({0: 1})
    return Counter(s for sweep in choice.sweeps if not sweep.seldom for s in sweep.reads)


def stages_table(graph: StageGraph) -> Markup:
    """Stages and operations: what they do, to how many inputs, and what becomes of the result."""
    rows = [
        TableRow(
            (
                title(node),
                node.operation,
                node.settings or "–",
                f"{len(node.parts):,}",
                f"{node.uses:,}",
                f"{node.tensors:,}" + (f" + {node.folded:,} folded" if node.folded else ""),
                decimal_size(node.nbytes) if node.nbytes else "–",
                state_text(node) or "–",
            ),
            row_id(number),
        )
        for number, node in enumerate(graph.nodes)
        if node.kind == "stage"
    ]
    columns = (
        Column("Stage"),
        Column("Operation"),
        Column("Settings"),
        Column("Inputs", True),
        Column("Uses", True),
        Column("Tensors", True),
        Column("Size", True),
        Column("Result"),
    )
    return table("Stages", columns, rows)


def outputs_table(plan: Plan, graph: StageGraph) -> Markup:
    """Outputs with their tensors, parameters, files and bytes."""
    nodes = [(i, node) for i, node in enumerate(graph.nodes) if node.kind == "output"]
    rows = [
        TableRow(
            (
                node.name,
                node.note.partition(",")[0],
                f"{len(layout.shards):,}",
                f"{len(layout.slots):,}",
                f"{layout.total_parameters:,}",
                decimal_size(layout.nbytes),
            ),
            row_id(number),
        )
        for (number, node), layout in zip(nodes, plan.layouts, strict=True)
    ]
    columns = (
        Column("Output"),
        Column("Dtype"),
        Column("Shards", True),
        Column("Tensors", True),
        Column("Parameters", True),
        Column("Size", True),
    )
    return table("Outputs", columns, rows)


def frontier_table(plan: Plan, made: Estimate) -> Markup:
    """What more memory buys, the most memory first; this plan's row is marked."""
    rows = [
        TableRow(
            (
                binary_size(row.peak_bytes) + ("  ← this plan" if row.chosen else ""),
                decimal_size(row.bytes_read),
                decimal_size(row.bytes_spilled) if row.bytes_spilled else "–",
                duration(row.seconds),
                "; ".join(_kept(row)) or "–",
                f"--memory {-(-row.peak_bytes // 2**20)}MiB",
            ),
            style="chosen" if row.chosen else None,
        )
        for row in frontier(plan, made)
    ]
    columns = (
        Column("Peak"),
        Column("Read", True),
        Column("Spilled", True),
        Column("Estimated time", True),
        Column("Stages"),
        Column("Smallest limit"),
    )
    return table("Memory against time", columns, rows)


def _kept(row: FrontierRow) -> Iterator[str]:
    for words, names in (
        ("held", row.held),
        ("spilled", row.spilled),
        ("computed again", row.recomputed),
    ):
        if names:
            more = ", …" if len(names) > _NAMED else ""
            yield f"{', '.join(names[:_NAMED])}{more} {words}"


# Planned and measured ---------------------------------------------------------------------------


def measured_tables(plan: Plan, seconds: float, report: Mapping[str, Any]) -> Markup:
    """A run's report beside the plan: peak, time and volume, and time by stage if it is there.

    seconds: the estimated time. report: `Report.to_json()`; what is missing or no number is left
    out. `stages` is a list of objects with `name`, and any of `seconds`, `planned_seconds`,
    `peak_bytes`, `planned_bytes`.
    """
    planned = _number(report, "planned_bytes")
    peak = _number(report, "peak_bytes") or None  # 0 is unknown
    pairs = [
        ("Peak memory", plan.peak_bytes + FIXED_BYTES, peak, binary_size),
        ("Time", seconds, _number(report, "seconds"), duration),
        ("Read", plan.bytes_read, _number(report, "bytes_read"), decimal_size),
        ("Written", plan.bytes_written, _number(report, "bytes_written"), decimal_size),
    ]
    rows = [
        TableRow((name, show(want), show(got), _ratio(want, got), _bars(want, got)))
        for name, want, got, show in pairs
        if got is not None
    ]
    columns = (
        Column(""),
        Column("Planned", True),
        Column("Measured", True),
        Column("Ratio", True),
        Column("Measured below planned"),
    )
    parts = [table("Planned and measured", columns, rows)]
    if planned is not None and planned != plan.peak_bytes:
        note = f"The run kept to a plan of {binary_size(planned)}: it isn't quite this one."
        parts.append(element("p", note, class_="note"))
    stages = report.get("stages")
    if isinstance(stages, list) and stages:
        parts.append(_measured_stages([s for s in stages if isinstance(s, Mapping)]))
    return join(parts)


def _measured_stages(stages: Sequence[Mapping[str, Any]]) -> Markup:
    shown = [
        (key, Column(name, True), show)
        for key, name, show in (
            ("planned_seconds", "Planned time", duration),
            ("seconds", "Measured time", duration),
            ("planned_bytes", "Planned peak", binary_size),
            ("peak_bytes", "Measured peak", binary_size),
        )
        if any(_number(stage, key) is not None for stage in stages)
    ]
    rows = []
    for stage in stages:
        values = [(_number(stage, key), show) for key, _, show in shown]
        cells = ["–" if value is None else show(value) for value, show in values]
        rows.append(TableRow((str(stage.get("name") or stage.get("stage") or "–"), *cells)))
    columns = (Column("Stage"), *(column for _, column, _ in shown))
    return table("By stage", columns, rows)


def _number(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _ratio(want: float, got: float) -> str:
    return f"{got / want:.2f} ×" if want else "–"


def _bars(want: float, got: float) -> Markup:
    most = max(want, got, 1e-9)
    return element(
        "svg",
        element("rect", x=0, y=2, width=round(160 * want / most, 1), height=6, rx=2, class_="want"),
        element("rect", x=0, y=11, width=round(160 * got / most, 1), height=6, rx=2, class_="got"),
        width=160,
        height=19,
        class_="bars",
        role="img",
        aria_label=f"measured is {_ratio(want, got)} of planned",
    )


def warnings_list(plan: Plan) -> Markup:
    """Every warning with its place and hint."""
    if not plan.warnings:
        return element("p", "No warnings.", class_="note")
    items = []
    for warning in plan.warnings:
        lines = [element("strong", warning.code), " ", warning.message]
        if warning.span is not None:
            lines.append(element("span", f" {warning.span}", class_="place"))
        extra = [element("div", note, class_="note") for note in warning.notes]
        if warning.hint:
            extra.append(element("div", warning.hint, class_="note"))
        items.append(element("li", *lines, *extra))
    return element("ul", *items, class_="warnings", aria_label=count(len(items), "warning"))
