"""Plan -> its memory in words and as a sparkline, and the frontier as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ..compiler.planning.plan import FIXED_BYTES, Plan
from ..compiler.planning.timeline import binding_moment, needs
from ..quantities import binary_size, count, decimal_size, duration
from .columns import paragraph, table
from .plan_facts import FrontierRow, value_names

_BARS = "▁▂▃▄▅▆▇█"
_SPARKS = 64


def memory_text(plan: Plan, width: int) -> Iterator[str]:
    """The promise, how near it is to the least, what it consists of, and its course."""
    bound = binary_size(plan.lower_bound_bytes)
    proof = f"proved least for what it holds (lower bound {bound})"
    if not plan.optimal:
        gap = plan.peak_bytes / max(1, plan.lower_bound_bytes) - 1
        proof = f"not proved least: lower bound {bound}, a gap of {gap:.1%}"
    yield from paragraph(
        "Memory",
        f"peak {binary_size(plan.peak_bytes)} of {binary_size(plan.limit)}, {proof}; "
        f"{count(plan.threads, 'worker')}; {binary_size(FIXED_BYTES)} more for the program itself",
        width,
    )
    moment = binding_moment(plan)
    if moment is None:
        return
    component = plan.components[moment.component]
    names = value_names(plan, component)
    sweeps = max(1, len(plan.choices[moment.component].sweeps))
    size = component.numel * component.template.program.compute.itemsize
    held = Counter(names.get(value, "intermediate") for value in moment.held)
    parts = [
        f"{name} {f'{number} × ' if number > 1 else ''}{binary_size(size)}"
        for name, number in held.items()
    ]
    parts += [f"scratch {binary_size(moment.scratch)}"] if moment.scratch else []
    parts.append(f"tiles {binary_size(moment.tiles)}")
    yield from paragraph(
        "",
        f"at {component.targets[0][0].name}, step {moment.component + 1} of "
        f"{len(plan.components):,}, sweep {moment.sweep + 1} of {sweeps}: {', '.join(parts)}",
        width,
    )
    yield from _sparkline(plan, needs(plan), width)


def _sparkline(plan: Plan, values: Sequence[int], width: int) -> Iterator[str]:
    """Memory over the sweeps of all steps, each column the most in its part of the run."""
    columns = min(len(values), _SPARKS, max(8, width - 40))
    # beside a limit that is much larger every plan would look flat
    near = plan.limit < 4 * plan.peak_bytes
    top = plan.limit if near else plan.peak_bytes
    line = sparkline(values, columns, top)
    scale = f"█ is the limit, {binary_size(top)}" if near else "█ is the peak, not the limit"
    yield f"{'':12}{line}  {scale}"
    yield f"{'':12}over {count(len(values), 'sweep')}"


def sparkline(values: Sequence[int], columns: int, top: int) -> str:
    """Values in so many columns, each the largest of its part; `top` has the highest bar."""
    line = ""
    for column in range(columns):
        first = len(values) * column // columns
        last = max(first + 1, len(values) * (column + 1) // columns)
        share = max(values[first:last]) / max(1, top)
        line += _BARS[min(len(_BARS) - 1, int(share * len(_BARS)))]
    return line


def frontier_text(plan: Plan, rows: Sequence[FrontierRow], width: int) -> Iterator[str]:
    """What each limit that makes a difference buys, the most memory first."""
    head = (
        "",
        "peak",
        "read",
        "spilled",
        "time",
        "held",
        "spilled to a file",
        "computed again",
        "whole",
    )
    cells = [
        (
            "→" if row.chosen else "",
            binary_size(row.peak_bytes),
            decimal_size(row.bytes_read),
            decimal_size(row.bytes_spilled) if row.bytes_spilled else "–",
            duration(row.seconds),
            _names(row.held),
            _names(row.spilled),
            _names(row.recomputed),
            _names(row.whole),
        )
        for row in rows
    ]
    yield "Frontier    what each memory limit buys, the most memory first; → is this plan"
    yield ""
    shown = [i for i in range(len(head)) if i < 5 or any(cell[i] for cell in cells)]
    picked = [[row[i] for i in shown] for row in [head, *cells]]
    yield from (f"  {line}" for line in table(picked, right=(1, 2, 3, 4)))
    if len(rows) > 1:
        yield ""
        least, most = rows[-1], rows[0]
        longer = least.seconds / max(1e-9, most.seconds)
        yield from paragraph(
            "",
            f"`--memory min` needs {binary_size(least.peak_bytes)} instead of "
            f"{binary_size(most.peak_bytes)}, "
            + (f"and takes {longer:.2f} times as long" if longer > 1.005 else "in the same time"),
            width,
        )


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} +{len(names) - 2}"
