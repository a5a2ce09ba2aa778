"""Plan -> what `mergec plan` prints: sources, stages, sharing, memory, volume, disk, warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ..plan import FIXED_BYTES, Plan
from .plan_facts import disks, dtypes_of, operations, value_names
from .stages import shown_path, stage_facts, stage_tree
from .units import binary_size, count, decimal_size


def plan_text(plan: Plan, version: str) -> Iterator[str]:
    """The lines of a plan; `version` is mergec's."""
    bound = plan.bound
    parts = [
        count(len(bound.sources), "source"),
        count(len(bound.stages), "stage"),
        count(len(bound.outputs), "output"),
    ]
    yield f"{bound.name} · mergec {version} · {', '.join(parts)}"
    yield ""
    yield from _sources(plan)
    yield ""
    yield "Stages"
    yield from (f"  {line}" for line in stage_tree(plan))
    yield ""
    yield from _facts(plan)


def _sources(plan: Plan) -> Iterator[str]:
    rows: list[Sequence[str]] = []
    for reference, checkpoint in plan.bound.sources.items():
        dtype, *others = dtypes_of(checkpoint)
        rows.append(
            (
                f"  {reference}",
                (checkpoint.revision or "")[:7],
                dtype + (f" +{len(others)}" if others else ""),
                f"{len(checkpoint.files):,}",
                f"{len(checkpoint.tensors):,}",
                decimal_size(checkpoint.nbytes),
            )
        )
    head = ("Sources", "revision", "dtype", "files", "tensors", "size")
    yield from table([head, *rows], right=(3, 4, 5))


def _facts(plan: Plan) -> Iterator[str]:
    made = operations(plan)
    reused = [facts for facts in stage_facts(plan) if facts.uses > 1]
    yield f"Sharing     {count(plan.loads, 'load')}, {plan.distinct_loads:,} distinct" + "".join(
        f"; {facts.name} computed once, used {facts.uses} times" for facts in reused
    )
    folded = made["written"] - made["computed"]
    templates = len({id(component.template) for component in plan.components})
    yield (
        f"Optimised   {count(made['written'], 'operation')}, {folded:,} of them folded away; "
        f"{count(len(plan.components), 'step')} of {count(templates, 'kind')}"
    )
    yield from _memory(plan)
    shards = sum(len(layout.shards) for layout in plan.layouts)
    spill = f" · spill {decimal_size(plan.bytes_spilled)}" if plan.bytes_spilled else ""
    yield (
        f"I/O         read {decimal_size(plan.bytes_read)} · "
        f"write {decimal_size(plan.bytes_written)} ({count(shards, 'file')}){spill}"
    )
    for disk in disks(plan):
        short = "" if disk.free >= disk.need else " – not enough"
        yield (
            f"Disk        need {decimal_size(disk.need)} in {shown_path(str(disk.folder))} "
            f"({decimal_size(disk.free)} free){short}"
        )
    yield f"Warnings    {len(plan.warnings) or 'none'}"


def _memory(plan: Plan) -> Iterator[str]:
    least = "proved least"
    if not plan.optimal:
        least = f"no order needs less than {binary_size(plan.lower_bound_bytes)}"
    at = ""
    if plan.binding is not None:
        at = f", at {plan.components[plan.binding].targets[0][0].name}"
    yield (
        f"Memory      peak {binary_size(plan.peak_bytes)} of {binary_size(plan.limit)} "
        f"({count(plan.threads, 'worker')}; {least}{at}), "
        f"and {binary_size(FIXED_BYTES)} for the program itself"
    )
    kept: Counter[tuple[str, str]] = Counter()
    for component, choice in zip(plan.components, plan.choices, strict=True):
        names = value_names(plan, component)
        for node in choice.held:
            way = "spilled to a file" if node in choice.spilled else "held in memory"
            kept[names.get(node, "an intermediate value"), way] += 1
    for (name, way), number in kept.items():
        yield f"            {name} {way} between sweeps, in {count(number, 'step')}"


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Rows of cells as lines with aligned columns; an empty column is left out."""
    shown = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in shown}
    for row in rows:
        cells = [row[i].rjust(widths[i]) if i in right else row[i].ljust(widths[i]) for i in shown]
        yield "  ".join(cells).rstrip()
