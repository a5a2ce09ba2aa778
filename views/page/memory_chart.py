"""Memory by step -> a chart against the limit, and as data what each of its steps holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...compiler.planning.plan import Plan
from ...quantities import binary_size, count
from .drawing import legend
from .markup import Markup, element, join
from .memory_steps import Runs, Usage

HEIGHT = 220
"""Pixels of the chart; its width is the page's."""

_AXIS = 74  # pixels for the sizes on the left
_FAR = 1.7  # a limit this many times the peak is said in words: to scale it would flatten the rest


def memory_chart(plan: Plan, found: Runs) -> Markup:
    """The chart: what is held, buffers on top of it, the limit and the lower bound as lines."""
    top, runs = _top(plan), found.runs
    if not runs:
        return element("p", "This plan has no steps.", class_="note")
    held = [(run.usage.total - run.usage.tiles, run.steps) for run in runs]
    total = [(run.usage.total, run.steps) for run in runs]
    y = _scale(top)
    plot = element(
        "svg",
        *(_line("grid", y(tick)) for tick in _ticks(top)),
        element("path", d=_area(total, y), class_="area buffers"),
        element("path", d=_area(held, y), class_="area held"),
        _line("bound", y(plan.lower_bound_bytes)),
        _line("limit off" if plan.limit > top else "limit", y(min(plan.limit, top))),
        element("path", d="", class_="cursor", id="cursor"),
        class_="plot",
        viewBox=f"0 0 {found.steps} {HEIGHT}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    slider = element(
        "div",
        plot,
        class_="slider",
        id="timeline",
        tabindex=0,
        role="slider",
        aria_label="Memory step by step: arrow keys move, Page Up and Down leap, P finds the peak",
        aria_valuemin=1,
        aria_valuemax=len(runs),
        aria_valuenow=1,
    )
    ends = [element("span", f"step {n:,}") for n in _marks(found.steps)]
    return element(
        "div",
        _sizes(top),
        slider,
        element("div", *ends, class_="steps"),
        class_="chart",
    )


def memory_legend(plan: Plan) -> Markup:
    """What the chart's colours and lines are, with their sizes."""
    limit = ("limit", f"limit {binary_size(plan.limit)}")
    if plan.limit > _top(plan):
        limit = ("limit off", f"{limit[1]}, off the scale")
    entries = [
        ("held", "values held between sweeps, histograms and scratch"),
        ("buffers", f"tiles of {count(plan.threads, 'worker')}"),
        limit,
        ("bound", f"lower bound {binary_size(plan.lower_bound_bytes)}"),
    ]
    return legend(entries)


def memory_data(found: Runs) -> dict[str, Any]:
    """Each run of steps as [first, steps, the one shown, tensor, usage]; usages are listed once.

    Steps count from 1; a tensor and a usage are places in `tensors` and `usages`.
    """
    tensors: dict[str, int] = {}
    usages: dict[Usage, int] = {}
    runs = [
        [
            run.first + 1,
            run.steps,
            run.step + 1,
            tensors.setdefault(run.tensor, len(tensors)),
            usages.setdefault(run.usage, len(usages)),
        ]
        for run in found.runs
    ]
    return {
        "steps": found.steps,
        "peak": found.peak,
        "runs": runs,
        "tensors": list(tensors),
        "usages": [_usage(usage) for usage in usages],
    }


def _usage(usage: Usage) -> dict[str, Any]:
    held = [
        [value.name, f"{binary_size(value.nbytes)}{' in a file' if value.in_file else ''}"]
        for value in usage.held
    ]
    return {
        "method": f"{usage.methods}, {usage.sweep}",
        "does": usage.does,
        "held": held,
        "scratch": binary_size(usage.scratch) if usage.scratch else "",
        "tiles": binary_size(usage.tiles),
        "total": binary_size(usage.total),
    }


# Scales -----------------------------------------------------------------------------------------


def _top(plan: Plan) -> float:
    """The size at the top of the chart."""
    peak = max(plan.peak_bytes, plan.lower_bound_bytes, 1)
    return 1.06 * plan.limit if plan.limit <= _FAR * peak else 1.18 * peak


def _scale(top: float) -> Callable[[float], float]:
    """Bytes -> pixels from the top; what is off the scale lies on its upper edge."""
    return lambda nbytes: round(max(1.5, HEIGHT - HEIGHT * nbytes / top), 1)


def _ticks(top: float) -> Iterator[int]:
    """Two to five round sizes."""
    step = 1
    while top / step > 5:
        step *= 2
    yield from range(step, int(top) + 1, step)


def _sizes(top: float) -> Markup:
    y = _scale(top)
    labels = [
        element(
            "text", binary_size(tick).replace(".0 ", " "), x=_AXIS - 8, y=y(tick) + 4, class_="tick"
        )
        for tick in _ticks(top)
        if y(tick) > 8
    ]
    return element(
        "svg",
        join(labels),
        element("text", "0", x=_AXIS - 8, y=HEIGHT, class_="tick"),
        class_="sizes",
        width=_AXIS,
        height=HEIGHT,
        aria_hidden="true",
    )


def _marks(steps: int) -> Sequence[int]:
    return sorted({1, (steps + 1) // 2, steps})


def _line(style: str, y: float) -> Markup:
    return element("path", d=f"M0 {y:g}H1000000", class_=f"line {style}")


def _area(values: Sequence[tuple[int, int]], y: Callable[[float], float]) -> str:
    """Bars side by side as one outline; neighbours of one height are one bar."""
    path, before = f"M0 {HEIGHT}", None
    at = 0
    for nbytes, width in values:
        height = y(nbytes) if nbytes else HEIGHT
        if height != before:
            path += f"H{at}V{height:g}" if before is not None else f"V{height:g}"
            before = height
        at += width
    return f"{path}H{at}V{HEIGHT}Z"
