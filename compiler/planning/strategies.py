"""Component -> Strategies: the ways to run it, from fastest to smallest.

A value that several sweeps need can be computed again in each, held in memory, or spilled to a
file (`keepings`). For every such choice the units of work are ordered for the least peak and joined
into sweeps (`groupings`), and the sweeps priced (`costs`); what is neither faster nor smaller than
another way is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..sweeps.components import Component, Template
from ..sweeps.model_thresholds import ModelScan
from ..sweeps.opaque_calls import scratch_bytes
from ..sweeps.program import Sweep
from ..sweeps.sweeps import build_sweeps
from ..sweeps.verify_sweeps import verify_sweeps
from ..sweeps.work_units import units
from .costs import NOMINAL, Rates, SweepCost, copy_cost, sweep_costs
from .groupings import group_units
from .keepings import Keeping, keepings, worth_holding


@dataclass(frozen=True, eq=False)
class Strategy:
    """One way to run a component, and what it takes.

    held: values kept in memory, or in a file if they are in `spilled`. worth_holding: those that
    could be. scans: walks before all others, which find thresholds of whole models. costs: of each
    sweep, or of the copy that there is instead; scan_costs: of each scan. least_held: bytes below
    which no order of the same work holds values and scratch. read_unheld: bytes of sources that
    would be read if nothing were held.
    """

    held: tuple[int, ...]
    spilled: frozenset[int]
    worth_holding: tuple[int, ...]
    sweeps: tuple[Sweep, ...]
    scans: tuple[ModelScan, ...]
    costs: tuple[SweepCost, ...]
    scan_costs: tuple[SweepCost, ...]
    least_held: int
    read_unheld: int

    @cached_property
    def peak(self) -> int:
        """Most bytes of whole tensors, scratch and histograms at once."""
        return max(cost.held + cost.scratch for cost in self.costs) + self.bins

    @cached_property
    def lower_bound(self) -> int:
        """Bytes below which the peak of no order with these choices stays."""
        return self.least_held + self.bins

    @cached_property
    def bins(self) -> int:
        """Bytes of histograms."""
        return max(cost.bins for cost in (*self.scan_costs, *self.costs))

    @cached_property
    def tile_bytes(self) -> int:
        """Bytes of a worker's buffers."""
        return max(cost.tiles for cost in (*self.scan_costs, *self.costs))

    @cached_property
    def read(self) -> int:
        """Bytes of sources that are read."""
        return _read(self.expected)

    @cached_property
    def seldom_read(self) -> int:
        """Bytes that looks read beyond those, for samples and where these mislead."""
        return sum(cost.beyond for cost in self.costs)

    @cached_property
    def spilled_bytes(self) -> int:
        """Bytes written to and read from spill files."""
        return sum(cost.spilled for cost in self.expected)

    @cached_property
    def expected(self) -> tuple[SweepCost, ...]:
        """The costs of scans and sweeps, but for those that are seldom needed."""
        return (*self.scan_costs, *(cost for cost in self.costs if not cost.seldom))

    @property
    def optimal(self) -> bool:
        """Whether the peak is proved to be the least for these choices."""
        return self.peak <= self.lower_bound

    def seconds(self, rates: Rates = NOMINAL, missing: float = 0.0) -> float:
        """Time at these rates; missing: the share of the sources that isn't in the page cache."""
        return sum(cost.seconds(rates, missing) for cost in self.expected)


class _Course(NamedTuple):
    """A choice's sweeps; least_held: see Strategy."""

    keeping: Keeping
    sweeps: tuple[Sweep, ...]
    least_held: int


def _read(costs: Iterable[SweepCost]) -> int:
    return sum(cost.read for cost in costs if not cost.seldom)


class StrategyFinder:
    """Finds strategies; what depends only on a template is found once for all its components."""

    def __init__(self) -> None:
        self._worth: dict[Template, tuple[int, ...]] = {}
        self._courses: dict[tuple[Template, tuple[int, ...]], tuple[_Course, ...]] = {}

    def strategies(
        self, component: Component, scans: tuple[ModelScan, ...] = ()
    ) -> tuple[Strategy, ...]:
        """The Pareto front of time and memory, fastest first; all take these scans."""
        template = component.template
        if template.copies:
            cost = copy_cost(component)
            return (Strategy((), frozenset(), (), (), (), (cost,), (), 0, cost.read),)
        if template not in self._worth:
            self._worth[template] = worth_holding(template)
        looking = tuple(sweep_costs(component, (scan.sweep for scan in scans), frozenset()))
        size = component.numel * template.program.compute.itemsize
        found: list[Strategy] = []
        for course in self._find_courses(component):
            costs = tuple(sweep_costs(component, course.sweeps, course.keeping.spilled))
            strategy = Strategy(
                held=course.keeping.held,
                spilled=course.keeping.spilled,
                worth_holding=self._worth[template],
                sweeps=course.sweeps,
                scans=scans,
                costs=costs,
                scan_costs=looking,
                least_held=course.least_held * (1 if template.program.calls_wholes else size),
                read_unheld=found[0].read_unheld if found else _read(looking + costs),
            )
            found.append(strategy)
        front: list[Strategy] = []
        for strategy in sorted(found, key=lambda s: (s.seconds(), s.peak, len(s.held))):
            if not front or strategy.peak < front[-1].peak:
                front.append(strategy)
        return tuple(front)

    def _find_courses(self, component: Component) -> tuple[_Course, ...]:
        """The courses of a component's template.

        Every value has the tensor's size, so that which sweeps are best hangs on it only where
        functions of whole tensors need scratch too: else it is counted in values, not in bytes.
        """
        template = component.template
        key = template, component.shape if template.program.calls_wholes else ()
        if key not in self._courses:
            self._courses[key] = tuple(_courses(component, self._worth[template]))
        return self._courses[key]


def _courses(component: Component, worth: tuple[int, ...]) -> Iterator[_Course]:
    program = component.template.program
    size = component.numel * program.compute.itemsize if program.calls_wholes else 1
    for keeping in keepings(worth):
        found = units(program, keeping.held)
        given = (i for unit in found for i in unit.gives)
        sizes = {i: 0 if i in keeping.spilled else size for i in given}
        scratch = [
            0 if unit.whole is None else scratch_bytes(program, unit.whole, component.shape)
            for unit in found
        ]
        for grouped in group_units(found, sizes, scratch):
            sweeps = build_sweeps(program, found, grouped.sweeps)
            verify_sweeps(program, sweeps)
            yield _Course(keeping, sweeps, grouped.lower_bound)
