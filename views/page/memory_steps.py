"""Plan -> the steps that its memory chart shows: one sweep of one component each, in run order.

A plan of very many steps is shown in runs of equally many, each by the step that needs most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ...compiler.planning.plan import Plan
from ...compiler.planning.timeline import Moment, timeline
from ...compiler.sweeps.components import Component
from ...compiler.sweeps.program import Sweep
from ...quantities import count
from ..plan_facts import value_names

MOST_SHOWN = 1500
"""Steps, or runs of steps, that are shown."""


class Held(NamedTuple):
    """A value that is kept between sweeps; one in a file takes its bytes there, not in memory."""

    name: str
    nbytes: int
    in_file: bool


class Usage(NamedTuple):
    """A sweep of a component without its tensors' names: what it is for, and what it holds.

    scratch, tiles: bytes of histograms and scratch, and of all workers' buffers. total: bytes of
    memory.
    """

    sweep: str
    methods: str
    does: str
    held: tuple[Held, ...]
    scratch: int
    tiles: int
    total: int


class Run(NamedTuple):
    """`steps` steps from step `first` on, shown by the one that needs most: `step`, of `tensor`."""

    first: int
    steps: int
    step: int
    tensor: str
    usage: Usage


@dataclass(frozen=True)
class Runs:
    """runs: of equally many steps, in order; the last may be shorter. steps: of all runs."""

    runs: tuple[Run, ...]
    steps: int

    @property
    def peak(self) -> int:
        """The number of the run that needs most."""
        return max(range(len(self.runs)), key=lambda i: self.runs[i].usage.total, default=0)


def memory_runs(plan: Plan) -> Runs:
    """The memory of a plan's steps."""
    moments = list(timeline(plan))
    describe = _Description(plan)
    size = max(1, -(-len(moments) // MOST_SHOWN))
    runs = []
    for first in range(0, len(moments), size):
        stop = min(first + size, len(moments))
        step = max(range(first, stop), key=lambda number: moments[number].nbytes)
        component = plan.components[moments[step].component]
        name, usage = component.targets[0][0].name, describe.usage(moments[step])
        runs.append(Run(first, stop - first, step, name, usage))
    return Runs(tuple(runs), len(moments))


class _Description:
    """Says what moments hold and do, once for all components that are alike."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known: dict[tuple[object, ...], Usage] = {}

    def usage(self, moment: Moment) -> Usage:
        component = self._plan.components[moment.component]
        option = self._plan.choices[moment.component]
        nodes = self._plan.optimised.nodes
        origins = (nodes[component.nodes[place]].origin for place, *_ in component.template.values)
        key = (component.template, option, component.shape, moment[1:], *origins)
        if key not in self._known:
            self._known[key] = self._describe(component, moment)
        return self._known[key]

    def _describe(self, component: Component, moment: Moment) -> Usage:
        option, program = self._plan.choices[moment.component], component.template.program
        names = value_names(self._plan, component)
        methods = ", ".join(dict.fromkeys(name for _, name, _ in component.template.values))
        size = component.numel * program.compute.itemsize
        in_files = _in_files(option.sweeps, option.spilled, moment.sweep)
        held = [Held(_name(names, i), size, i in in_files) for i in (*moment.held, *in_files)]
        if component.template.copies:
            methods, does = "copy", "copies bytes"
        else:
            methods = methods or "cast"
            deeds = _deeds(option.sweeps[moment.sweep], names, len(component.targets))
            does = ", ".join(deeds)
        sweeps = len(option.sweeps)
        return Usage(
            f"sweep {moment.sweep + 1} of {sweeps}" if sweeps > 1 else "one sweep",
            methods,
            does,
            tuple(held),
            moment.scratch,
            moment.tiles,
            moment.nbytes,
        )


def _in_files(sweeps: tuple[Sweep, ...], spilled: frozenset[int], number: int) -> list[int]:
    """The spilled values that a file holds during a sweep."""
    live: set[int] = set()
    for sweep in sweeps[: number + 1]:
        live |= set(sweep.held) & spilled
        if sweep is not sweeps[number]:
            live -= set(sweep.frees)
    return sorted(live)


def _name(names: dict[int, str], value: int) -> str:
    return names.get(value, "an intermediate value")


def _deeds(sweep: Sweep, names: dict[int, str], outputs: int) -> Iterator[str]:
    """What a sweep does, a phrase each."""
    if sweep.seldom:
        yield "counts magnitudes near a cut again, where need be"
        return
    if sweep.reads:
        yield f"reads {count(len(sweep.reads), 'tensor')}"
    fetched = {i for segment in sweep.segments for i in segment.fetches}
    if back := dict.fromkeys(names[i] for i in sorted(fetched) if i in names):
        yield f"reads back {', '.join(back)}"
    if sums := sum(len(segment.sums) for segment in sweep.segments):
        yield f"adds up {count(sums, 'sum')}"
    if sweep.looks:
        yield f"counts magnitudes for {count(len(sweep.looks), 'selection')}"
    if sweep.held:
        yield f"keeps {', '.join(dict.fromkeys(_name(names, i) for i in sweep.held))}"
    if sweep.wholes:
        yield f"calls {count(len(sweep.wholes), 'function')} of whole tensors"
    if writes := sum(len(segment.writes) for segment in sweep.segments):
        yield f"writes {count(writes, 'tensor')}" if outputs > 1 else "writes the tensor"
