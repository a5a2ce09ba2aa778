"""Plan -> what memory it takes step by step: a step is one sweep of one component, in run order.

A plan of very many steps is shown in runs of equally many, each by the step that needs most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ...components import Component
from ...options import Option, tile_bytes
from ...plan import Plan
from ...program import DIGIT_BITS, Sweep
from ...whole import scratch_bytes
from ..plan_facts import value_names
from ..units import count

MOST_SHOWN = 1500
"""Steps, or runs of steps, that are shown."""


class Held(NamedTuple):
    """A value that is kept between sweeps; one in a file takes its bytes there, not in memory."""

    name: str
    nbytes: int
    in_file: bool


@dataclass(frozen=True, eq=False)
class Moment:
    """A sweep of a component, without the names of its tensors.

    held: values in memory or in a file while it runs. work: bytes of histograms and of scratch.
    buffers: bytes of all workers' tiles. does: what the sweep is for, in words.
    """

    sweep: int
    sweeps: int
    methods: str
    does: str
    held: tuple[Held, ...]
    work: int
    buffers: int

    @property
    def held_bytes(self) -> int:
        """Bytes of the held values that are in memory."""
        return sum(value.nbytes for value in self.held if not value.in_file)

    @property
    def total(self) -> int:
        """Bytes of memory."""
        return self.held_bytes + self.work + self.buffers


class Run(NamedTuple):
    """`count` steps from step `first` on, shown by the one that needs most: `step` of `tensor`."""

    first: int
    count: int
    step: int
    tensor: str
    moment: Moment


@dataclass
class Timeline:
    """runs: of equally many steps, in order. steps: how many there are in all. peak: the most."""

    runs: list[Run] = field(default_factory=list)
    steps: int = 0

    @property
    def peak(self) -> Run | None:
        return max(self.runs, key=lambda run: run.moment.total, default=None)


def memory_timeline(plan: Plan) -> Timeline:
    """The memory of a plan's steps."""
    found = [
        (component.targets[0][0].name, moment)
        for component, moments in _component_moments(plan)
        for moment in moments
    ]
    size = max(1, -(-len(found) // MOST_SHOWN))
    timeline = Timeline(steps=len(found))
    for first in range(0, len(found), size):
        stop = min(first + size, len(found))
        step = max(range(first, stop), key=lambda number: found[number][1].total)
        timeline.runs.append(Run(first, stop - first, step, *found[step]))
    return timeline


def _component_moments(plan: Plan) -> Iterator[tuple[Component, tuple[Moment, ...]]]:
    """Each component with its sweeps; alike components share them."""
    nodes = plan.optimised.nodes
    known: dict[tuple[object, ...], tuple[Moment, ...]] = {}
    for component, choice in zip(plan.components, plan.choices, strict=True):
        template = component.template
        origins = tuple(nodes[component.nodes[place]].origin for place, _, _ in template.values)
        key = (id(template), id(choice), component.shape, origins)
        if key not in known:
            known[key] = tuple(_moments(plan, component, choice))
        yield component, known[key]


def _moments(plan: Plan, component: Component, choice: Option) -> Iterator[Moment]:
    template, threads = component.template, plan.threads
    methods = ", ".join(dict.fromkeys(method for _, method, _ in template.values)) or "cast"
    if template.copies:
        yield Moment(0, 1, "copy", "copies bytes", (), 0, choice.tile_bytes * threads)
        return
    program, names = template.program, value_names(plan, component)
    size = component.numel * program.compute.itemsize
    live: dict[int, Held] = {}
    for number, sweep in enumerate(choice.sweeps):
        given = [i for i, node in enumerate(program.nodes) if _given(node.args, node.name, sweep)]
        for value in (*sweep.held, *given):
            name = names.get(value, "intermediate value")
            live[value] = Held(name, size, value in choice.spilled)
        scratch = sum(scratch_bytes(program, whole, component.shape) for whole in sweep.wholes)
        bins = (8 << DIGIT_BITS) * len(sweep.looks)
        yield Moment(
            sweep=number,
            sweeps=len(choice.sweeps),
            methods=methods,
            does=", ".join(_deeds(sweep, names, len(component.targets))),
            held=tuple(live.values()),
            work=scratch + bins,
            buffers=tile_bytes(component, sweep, choice.spilled) * threads,
        )
        for value in sweep.frees:
            live.pop(value, None)


def _given(args: tuple[int, ...], name: str, sweep: Sweep) -> bool:
    """Whether a node is the result of a function of whole tensors that the sweep calls."""
    return name == "whole_item" and args[0] in sweep.wholes


def _deeds(sweep: Sweep, names: dict[int, str], outputs: int) -> Iterator[str]:
    if sweep.only_ranks:
        yield "ranks equal magnitudes, where there are any"
        return
    if sweep.reads:
        yield f"reads {count(len(sweep.reads), 'tensor')}"
    fetched = {i for segment in sweep.segments for i in segment.fetches}
    if back := [names[i] for i in sorted(fetched) if i in names]:
        yield f"reads back {', '.join(dict.fromkeys(back))}"
    if sums := sum(len(segment.sums) for segment in sweep.segments):
        yield f"adds up {count(sums, 'sum')}"
    if sweep.looks:
        yield f"counts magnitudes for {count(len(sweep.looks), 'selection')}"
    if sweep.held:
        stored = dict.fromkeys(names.get(i, "an intermediate value") for i in sweep.held)
        yield f"keeps {', '.join(stored)}"
    if sweep.wholes:
        yield f"calls {count(len(sweep.wholes), 'function')} of whole tensors"
    if writes := sum(len(segment.writes) for segment in sweep.segments):
        yield f"writes {count(writes, 'tensor')}" if outputs > 1 else "writes the tensor"
