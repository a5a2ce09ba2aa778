"""Components + outputs -> Plan: what will be read, computed and written, and in what memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..grammar.diagnostics import Diagnostic, SourceText
from ..ops.dtypes import DType
from .bound import Bound
from .components import Component
from .graph import Graph, Load, Write
from .layout import Layout, plan_layout
from .lower import Lowered
from .program import DIGIT_BITS, Program, Sweep
from .structure import Structures

ROW_SCRATCH = 8
"""Tiles of scratch that a function of rows may use."""

WHOLE_SCRATCH = 4
"""Tensors of scratch that a function of whole tensors may use."""

CHUNK = 8
"""Tiles that a worker takes at once."""

FIXED_BYTES = 170 * 2**20
"""What the process holds before any buffer: the interpreter, numpy, numba and its kernels."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a run does, known before the first byte of data is read.

    graph: before optimisation; optimised: after it. layouts: each output's files.
    equalities: pairs of non-float tensors that must be the same.
    """

    source: SourceText
    bound: Bound
    graph: Graph
    optimised: Graph
    components: tuple[Component, ...]
    layouts: tuple[Layout, ...]
    equalities: tuple[tuple[Load, Load], ...]
    structures: Structures
    warnings: tuple[Diagnostic, ...]
    threads: int
    memory: int | None

    @cached_property
    def bytes_read(self) -> int:
        """Bytes that sweeps read from the sources; looks that are seldom needed are left out."""
        return sum(component_bytes_read(c) for c in self.components)

    @cached_property
    def bytes_written(self) -> int:
        """Bytes of all output files."""
        return sum(layout.nbytes for layout in self.layouts)

    @cached_property
    def loads(self) -> int:
        """Tensors that the recipe names as inputs, each time that it does."""
        return sum(
            sum(isinstance(self.graph.nodes[i].op, Load) for i in node.inputs)
            for node in self.graph.nodes
        )

    @cached_property
    def distinct_loads(self) -> int:
        """Source tensors that are read."""
        return sum(len(component.loads) for component in self.components)

    @cached_property
    def peak_bytes(self) -> int:
        """Most bytes that buffers hold at once: every worker on the largest tiles, plus holds."""
        worst = max((worker_bytes(c) for c in self.components), default=0)
        held = max((held_bytes(c) for c in self.components), default=0)
        return worst * self.threads + held


def make_plan(
    source: SourceText,
    bound: Bound,
    lowered: Lowered,
    optimised: Graph,
    found: Sequence[Component],
    warnings: Sequence[Diagnostic],
    threads: int,
    memory: int | None,
) -> Plan:
    """The plan of a recipe's components."""
    return Plan(
        source=source,
        bound=bound,
        graph=lowered.graph,
        optimised=optimised,
        components=tuple(found),
        layouts=_layouts(bound, optimised),
        equalities=tuple(lowered.equalities),
        structures=lowered.structures,
        warnings=(*bound.warnings, *warnings),
        threads=threads,
        memory=memory,
    )


def _layouts(bound: Bound, graph: Graph) -> tuple[Layout, ...]:
    tensors: list[list[tuple[str, DType, tuple[int, ...]]]] = [[] for _ in bound.outputs]
    for _, node in graph.writes():
        assert isinstance(node.op, Write)
        tensors[node.op.output].append((node.op.name, node.type.dtype, node.type.shape))
    return tuple(
        plan_layout(found, output.shard_bytes)
        for found, output in zip(tensors, bound.outputs, strict=True)
    )


def component_bytes_read(component: Component) -> int:
    """Source bytes of all sweeps of a component."""
    if component.template.copies:
        return sum(load.tensor.nbytes for load in component.loads)
    return sum(
        component.loads[slot].tensor.nbytes
        for sweep in component.template.sweeps
        if not sweep.only_ranks
        for slot in sweep.reads
    )


def worker_bytes(component: Component) -> int:
    """Bytes of one worker's buffers while it works on a component."""
    tile = min(component.tile, max(1, component.numel))
    program = component.template.program
    if component.template.copies:
        return tile * program.inputs[0].itemsize
    return max(sweep_bytes(program, sweep, tile) for sweep in component.template.sweeps)


def sweep_bytes(program: Program, sweep: Sweep, tile: int) -> int:
    """Bytes of a tile's buffers and of the histograms of a sweep."""
    width = sum(program.inputs[slot].itemsize for slot in sweep.reads)
    for segment in sweep.segments:
        width += sum(program.outputs[number][1].itemsize for number in segment.writes)
        aside = {*segment.stores, *segment.fetches} - set(sweep.held) - set(program.held)
        width += program.compute.itemsize * len(aside)
        width += ROW_SCRATCH * program.compute.itemsize * len(segment.rows)
    return width * tile + 4 * len(sweep.looks) * (1 << DIGIT_BITS)


def held_bytes(component: Component) -> int:
    """Most bytes that a component holds whole at once, with the histograms of its looks."""
    template = component.template
    size = component.numel * template.program.compute.itemsize
    worst = 0
    for sweep in template.sweeps:
        last_use = {
            index
            for later in template.sweeps
            if later.level >= sweep.level
            for segment in later.segments
            for index in segment.fetches
        }
        earlier = {i for s in template.sweeps if s.level < sweep.level for i in s.held}
        held = set(sweep.held) | (earlier & last_use)
        scratch = WHOLE_SCRATCH * len(sweep.wholes)
        bins = 8 * len(sweep.looks) * (1 << DIGIT_BITS)
        worst = max(worst, (len(held) + scratch) * size + bins)
    return worst
