"""Plan -> one self-contained page: its figures, stage graph, memory timeline and tables.

The page needs no network and runs one script, that of `page.js`; its Content-Security-Policy allows
nothing else, by the digests of script and style. Everything that a recipe, a checkpoint or a
report says is escaped where markup is made (`page.markup`).
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from ..compiler.planning.estimate import estimate
from ..compiler.planning.plan import FIXED_BYTES, Plan
from ..quantities import binary_size, count, decimal_size, duration
from ..version import __version__
from .coefficients import coefficients
from .page.coefficient_chart import coefficient_charts
from .page.drawing import graph_data, graph_legend, graph_svg
from .page.markup import Markup, data_block, element, join
from .page.memory_chart import memory_chart, memory_data, memory_legend
from .page.memory_steps import Runs, memory_runs
from .page.stage_graph import StageGraph, stage_graph
from .page.tables import (
    frontier_table,
    measured_tables,
    outputs_table,
    sources_table,
    stages_table,
    warnings_list,
)
from .plan_facts import operations

if TYPE_CHECKING:
    from ..runtime.report import Report


def plan_page(
    plan: Plan,
    report: Report | Mapping[str, Any] | None = None,
    *,
    command: str | None = None,
) -> str:
    """The page's HTML.

    report: of a run, as it is or as `to_json` gives it; the page then sets measured beside planned.
    command: what to type next, by default a plain `mergec run`.
    """
    style, script = _file("page.css"), _file("page.js")
    graph, runs, made = stage_graph(plan), memory_runs(plan), estimate(plan)
    command = command or f"mergec run {shlex.quote(plan.source.name)}"
    data = {"graph": graph_data(graph), "memory": memory_data(runs)}
    body = [
        element(
            "header",
            *_heading(plan),
            element("dl", *_figures(plan, runs, made.seconds), class_="figures"),
            element("p", "Next  ", element("code", command, class_="command"), class_="next"),
        ),
        *([] if report is None else [_measured(plan, made.total, report)]),
        _graph(graph),
        _memory(plan, runs),
        element("section", frontier_table(plan, made), id="frontier"),
        element("section", sources_table(plan, graph), id="sources"),
        element("section", stages_table(graph), outputs_table(plan, graph), id="stages"),
        coefficient_charts(coefficients(plan.bound)),
        element("section", element("h2", "Warnings"), warnings_list(plan), id="warnings"),
        _recipe(plan),
    ]
    return Template(_file("page.html")).substitute(
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
        title=join([f"{plan.bound.name} · mergec plan"]),
        style=style,
        body=element("main", *body),
        data=data_block("data", data),
        script=script,
    )


def _file(name: str) -> str:
    found = resources.files(f"{__package__}.page").joinpath(name)
    return found.read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# Sections ---------------------------------------------------------------------------------------


def _heading(plan: Plan) -> tuple[Markup, Markup]:
    warnings = count(len(plan.warnings), "warning") if plan.warnings else "no warnings"
    parts = [
        f"mergec {__version__}",
        count(len(plan.bound.sources), "source"),
        count(len(plan.bound.stages), "stage"),
        count(len(plan.bound.outputs), "output"),
    ]
    subtitle = element(
        "p", " · ".join(parts), " · ", element("a", warnings, href="#warnings"), class_="subtitle"
    )
    return element("h1", plan.bound.name), subtitle


def _figures(plan: Plan, runs: Runs, seconds: float) -> list[Markup]:
    made = operations(plan)
    folded = made["written"] - made["computed"]
    away = f", {folded:,} of {count(made['written'], 'operation')} folded away" if folded else ""
    gap = plan.peak_bytes - plan.lower_bound_bytes
    proof = "proved least" if plan.optimal else f"at most {binary_size(gap)} above the least"
    spilled = decimal_size(plan.bytes_spilled) if plan.bytes_spilled else "none"
    return [
        _figure(
            "Predicted peak",
            binary_size(plan.peak_bytes),
            f"{proof}; {binary_size(FIXED_BYTES)} more for the program itself",
            "good" if plan.optimal else "fair",
        ),
        _figure(
            "Lower bound",
            binary_size(plan.lower_bound_bytes),
            f"limit {binary_size(plan.limit)}, {count(plan.threads, 'worker')}",
        ),
        _figure(
            "Read",
            decimal_size(plan.bytes_read),
            f"{count(plan.loads, 'load')}, {plan.distinct_loads:,} distinct",
        ),
        _figure(
            "Written",
            decimal_size(plan.bytes_written),
            count(sum(len(layout.shards) for layout in plan.layouts), "file"),
        ),
        _figure("Spilled", spilled, "to files between sweeps and back"),
        _figure(
            "Estimated time",
            duration(seconds),
            f"on this machine; {count(runs.steps, 'step')}{away}",
        ),
    ]


def _figure(name: str, value: str, note: str, style: str = "") -> Markup:
    return element(
        "div",
        element("dt", name),
        element("dd", value, class_="value"),
        element("dd", note, class_=f"about {style}".rstrip()),
    )


def _graph(graph: StageGraph) -> Markup:
    hint = "Point at a node, or reach it with Tab, to see what it needs and what needs it."
    return element(
        "section",
        element(
            "div",
            element("h2", "Stages"),
            element(
                "button", "Fit to width", type="button", id="fit", aria_pressed="false", hidden=True
            ),
            class_="heading",
        ),
        element("p", hint, class_="note"),
        element("div", graph_svg(graph), class_="canvas", id="canvas"),
        graph_legend(graph),
        id="graph-section",
    )


def _memory(plan: Plan, runs: Runs) -> Markup:
    note = "A step is one sweep over tensors that are computed together, in the order of the run."
    most = max((run.steps for run in runs.runs), default=1)
    if most > 1:
        note += f" Shown in runs of {most} steps, each by the one that needs most."
    return element(
        "section",
        element("h2", "Memory step by step"),
        element("p", note, class_="note"),
        memory_chart(plan, runs),
        memory_legend(plan),
        id="memory",
    )


def _measured(plan: Plan, seconds: float, report: Report | Mapping[str, Any]) -> Markup:
    data = report if isinstance(report, Mapping) else report.to_json()
    return element("section", measured_tables(plan, seconds, data), id="measured")


def _recipe(plan: Plan) -> Markup:
    return element(
        "section",
        element(
            "details",
            element("summary", "Recipe"),
            element("pre", element("code", plan.source.text)),
        ),
        id="recipe",
    )
