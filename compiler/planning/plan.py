"""Components + outputs -> Plan: what will be read, computed and written, and in what memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from ...checkpoints.checkpoint import Checkpoint
from ...checkpoints.shard_layout import Layout
from ...checkpoints.stores import StoredFile
from ...grammar import YamlOptions
from ...grammar.diagnostics import Diagnostic, ResourceError, SourceText
from ...quantities import binary_size, count
from ..binding.bound import Bound
from ..graph.graph import Graph, Invoke, Load
from ..lowering.lower import Lowered
from ..sweeps.components import Component, Template
from ..sweeps.model_thresholds import pool_passes, pool_rounds, pool_sizes
from .content_keys import (
    Key,
    LeafIdentity,
    content_identity,
    node_keys,
    output_keys,
    portable_identity,
)
from .lineage import Lineage, lineages
from .machine import available_bytes
from .parts import component_digest, find_parts, work_digest
from .plan_outputs import plan_outputs
from .planned_output import PlannedOutput
from .strategies import Strategy, StrategyFinder
from .token_files import TokenFiles

FIXED_BYTES = 110 * 2**20
"""What the process holds before any buffer: the interpreter, numpy, LLVM."""

CHUNK = 16
"""Tiles that a worker takes at once."""

Memory: TypeAlias = int | Literal["min"] | None
"""Most bytes of buffers and held values; None is a quarter of what the machine has free."""


class Tradeoff(NamedTuple):
    """A row of the frontier: what a plan within `peak` bytes reads, spills and takes (nominal).

    choices: for each component the way to run it, as in `Plan.choices`.
    """

    peak: int
    read: int
    spilled: int
    seconds: float
    choices: tuple[Strategy, ...]


@dataclass(frozen=True)
class Request:
    """What a recipe is compiled with, beside its text; the arguments of `compile_recipe`."""

    folder: Path
    models: tuple[Path, ...]
    overrides: Mapping[str, str]
    out: str | None
    optimise: int
    yaml: YamlOptions
    stream: bool = False
    truncate_embeddings: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a run does, known before the first byte of data is read.

    It stands alone: a run reads outputs, sources, components, choices, equalities, threads and
    limit, and nothing else of the compiler. request, source, bound and graph are what it was made
    of, for those who show it.

    graph: before optimisation; optimised: after it. ways: for each component its options; choices:
    the one that is taken. sources: by reference, in the order of their first use.
    equalities: pairs of non-float tensors that must be the same. optimise: the level of `-O`.
    limit: the memory limit in bytes that the choices keep within.
    """

    request: Request
    source: SourceText
    bound: Bound
    graph: Graph
    optimised: Graph
    components: tuple[Component, ...]
    ways: tuple[tuple[Strategy, ...], ...]
    choices: tuple[Strategy, ...]
    outputs: tuple[PlannedOutput, ...]
    sources: Mapping[str, Checkpoint]
    equalities: tuple[tuple[Load, Load], ...]
    optimise: int
    warnings: tuple[Diagnostic, ...]
    threads: int
    limit: int

    @cached_property
    def layouts(self) -> tuple[Layout, ...]:
        """Each output's shards."""
        return tuple(output.layout for output in self.outputs)

    @cached_property
    def keys(self) -> tuple[dict[str, Key], ...]:
        """The content keys of each output's tensors, by name, as sources are on this machine."""
        return self._output_keys(content_identity)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """What each component computes, whatever others there are, on any machine."""
        keys = self._output_keys(portable_identity)
        return tuple(component_digest(component, keys) for component in self.components)

    @cached_property
    def digest(self) -> str:
        """What the plan does: the same for any memory limit, number of threads and machine."""
        return work_digest(self.layouts, self.digests)

    @cached_property
    def lineages(self) -> tuple[Lineage, ...]:
        """What each output's tensors are made of."""
        return lineages(self.optimised, len(self.outputs))

    @cached_property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """The components of each part: together they write whole files, and nothing else does."""
        return find_parts(self.components, self.layouts)

    @cached_property
    def pool_sizes(self) -> dict[int, int]:
        """How many elements share each threshold of a whole model."""
        return pool_sizes(self.components)

    def _output_keys(self, identity: LeafIdentity) -> tuple[dict[str, Key], ...]:
        dtypes = sorted({c.template.program.compute.name for c in self.components})
        settings = (dtypes, self.optimise)
        keys = node_keys(self.optimised, settings, identity)
        return output_keys(self.optimised, keys, len(self.outputs))

    @cached_property
    def stage_groups(self) -> tuple[tuple[str, ...], ...]:
        """For each component the stages that it computes, inputs first.

        Of merges that have no stage, and of copies, it is the outputs that they are written to.
        """
        return tuple(self._stage_group(component) for component in self.components)

    def _stage_group(self, component: Component) -> tuple[str, ...]:
        nodes, origins = self.optimised.nodes, self.optimised.origins
        merges = [nodes[index] for index in component.nodes if type(nodes[index].op) is Invoke]
        named = [stage for merge in merges if (stage := origins[merge.origin].stage)]
        if merges and origins[merges[-1].origin].stage:
            return tuple(dict.fromkeys(named))
        numbers = sorted({t.output for names in component.targets for t in names})
        return tuple(dict.fromkeys([*named, *(self.outputs[number].name for number in numbers)]))

    @cached_property
    def most_spilled(self) -> tuple[int, ...]:
        """Most bytes of spill files that lie beside each output at once.

        Components that hold nothing in memory may run side by side, a worker each.
        """
        sizes: list[list[int]] = [[] for _ in self.outputs]
        for component, option in zip(self.components, self.choices, strict=True):
            if option.spilled:
                size = component.numel * component.template.program.compute.itemsize
                sizes[component.targets[0][0].output].append(size * len(option.spilled))
        return tuple(sum(sorted(found)[-self.threads :]) for found in sizes)

    @cached_property
    def bytes_read(self) -> int:
        """Bytes that sweeps read from the sources; looks that are seldom needed are left out."""
        return sum(choice.read for choice in self.choices)

    @cached_property
    def bytes_read_most(self) -> int:
        """The same with the looks that are seldom needed."""
        return self.bytes_read + sum(choice.seldom_read for choice in self.choices)

    @cached_property
    def passes(self) -> int:
        """Passes over the model that find thresholds of whole models, before the others."""
        return max((p.number + 1 for c in self.choices for p in c.scans), default=0)

    @cached_property
    def bytes_written(self) -> int:
        """Bytes of all output files."""
        return sum(layout.nbytes for layout in self.layouts)

    @cached_property
    def bytes_spilled(self) -> int:
        """Bytes written to and read from spill files."""
        return sum(choice.spilled_bytes for choice in self.choices)

    @cached_property
    def loads(self) -> int:
        """Tensors that would be read if nothing were shared: each path from a load to an output."""
        paths: list[int] = []
        for op, inputs, _, _ in self.graph.nodes:
            paths.append(1 if type(op) is Load else sum([paths[i] for i in inputs]))
        return sum(paths[index] for index, _ in self.graph.writes())

    @cached_property
    def source_files(self) -> tuple[StoredFile, ...]:
        """The files that are read, in the order of their first use."""
        loads = [load for pair in self.equalities for load in pair]
        files = [file for load in loads for file in load.tensor.files]
        for component in self.components:
            files += component.files
        return tuple({file.identity: file for file in files}.values())

    @cached_property
    def distinct_loads(self) -> int:
        """Source tensors that are read."""
        return sum(len(component.loads) for component in self.components)

    @cached_property
    def peak_bytes(self) -> int:
        """Most bytes that buffers and held values take at once, at this number of threads."""
        return max((needed_bytes(c, self.threads) for c in self.choices), default=0)

    @cached_property
    def lower_bound_bytes(self) -> int:
        """Bytes below which no order of the chosen steps can stay."""
        return max((c.lower_bound + c.tile_bytes * self.threads for c in self.choices), default=0)

    @property
    def optimal(self) -> bool:
        """Whether the peak is proved to be the least for what the plan chooses to hold."""
        return self.peak_bytes <= self.lower_bound_bytes

    @cached_property
    def seconds(self) -> float:
        """Nominal time; for comparing plans, not for promising anything."""
        return sum(choice.seconds() for choice in self.choices)

    @cached_property
    def binding(self) -> int | None:
        """The component whose peak is the plan's."""
        needs = [needed_bytes(c, self.threads) for c in self.choices]
        return max(range(len(needs)), key=needs.__getitem__) if needs else None

    def frontier(self) -> list[Tradeoff]:
        """What each memory limit that makes a difference buys, fastest first."""
        ways = self.ways
        limits = sorted({needed_bytes(o, self.threads) for way in set(ways) for o in way})
        rows: list[Tradeoff] = []
        for limit in reversed(limits):
            chosen = _fastest(ways, limit, self.threads)
            if chosen is None:
                break
            row = Tradeoff(
                max(needed_bytes(o, self.threads) for o in chosen),
                sum(o.read for o in chosen),
                sum(o.spilled_bytes for o in chosen),
                sum(o.seconds() for o in chosen),
                chosen,
            )
            if not rows or row[:-1] != rows[-1][:-1]:
                rows.append(row)
        return rows


def make_plan(
    request: Request,
    source: SourceText,
    bound: Bound,
    lowered: Lowered,
    tokens: Sequence[TokenFiles],
    optimised: Graph,
    found: Sequence[Component],
    warnings: Sequence[Diagnostic],
    threads: int,
    memory: Memory,
) -> Plan:
    """The plan of a recipe's components: for each the fastest way within the limit.

    Errors: ResourceError E0506 for a limit that can't be met.
    """
    ways = tuple(_ways(found, optimised))
    limit, choices = _choose(found, ways, threads, memory)
    return Plan(
        request=request,
        source=source,
        bound=bound,
        graph=lowered.graph,
        optimised=optimised,
        components=tuple(found),
        ways=ways,
        choices=choices,
        outputs=plan_outputs(
            bound,
            lowered.structures,
            optimised,
            found,
            source,
            tokens,
            {"set": dict(request.overrides), "optimise": request.optimise},
        ),
        sources=bound.sources,
        equalities=tuple(lowered.equalities),
        optimise=request.optimise,
        warnings=(*bound.warnings, *warnings),
        threads=threads,
        limit=limit,
    )


def needed_bytes(option: Strategy, threads: int) -> int:
    """Bytes of a component's held values and of every worker's buffers."""
    return option.peak + option.tile_bytes * threads


def _ways(found: Sequence[Component], graph: Graph) -> Iterator[tuple[Strategy, ...]]:
    """The options of each component; equal templates of one shape share them."""
    rounds = pool_rounds(found)
    finder = StrategyFinder()
    known: dict[tuple[Template, tuple[int, ...], tuple[int | None, ...]], tuple[Strategy, ...]] = {}
    for component in found:
        turns = tuple(rounds.get(pool) for pool in component.pools)
        key = (component.template, component.shape, turns)
        if key not in known:
            known[key] = finder.strategies(component, pool_passes(component, rounds, graph))
        yield known[key]


def _choose(
    found: Sequence[Component],
    ways: Sequence[tuple[Strategy, ...]],
    threads: int,
    memory: Memory,
) -> tuple[int, tuple[Strategy, ...]]:
    smallest = {way: min(needed_bytes(o, threads) for o in way) for way in set(ways)}
    least = [smallest[way] for way in ways]
    floor = max(least, default=0)
    if memory == "min":
        limit = floor
    elif memory is None:
        limit = max(floor, available_bytes() // 4)
    else:
        limit = memory
    picked = _fastest(ways, limit, threads)
    if picked is None:
        raise _too_little(found, least, limit, threads)
    return limit, picked


def _fastest(
    ways: Sequence[tuple[Strategy, ...]], limit: int, threads: int
) -> tuple[Strategy, ...] | None:
    """Each component's first option that fits, fastest first; None where one has none."""
    first = {
        way: next((o for o in way if needed_bytes(o, threads) <= limit), None) for way in set(ways)
    }
    chosen = tuple(option for way in ways if (option := first[way]) is not None)
    return chosen if len(chosen) == len(ways) else None


def _too_little(
    found: Sequence[Component], least: Sequence[int], limit: int, threads: int
) -> ResourceError:
    worst = max(range(len(least)), key=least.__getitem__)
    component = found[worst]
    name = component.targets[0][0].name
    methods = ", ".join(dict.fromkeys(method for _, method, _ in component.template.values))
    error = ResourceError.of(
        "E0506",
        f"{binary_size(limit)} of memory are too little: step {worst + 1} of {len(found)}, "
        f"`{name}` ({methods or 'copy'}), needs {binary_size(least[worst])}",
        notes=(
            f"the limit is {limit:,} bytes, the step needs {least[worst]:,}",
            f"with {count(threads, 'worker')}, each with its own tile buffers",
        ),
        hint=f"the smallest limit that works is {-(-least[worst] // 2**20)}MiB"
        + ("; fewer `--threads` need less" if threads > 1 else ""),
    )
    assert isinstance(error, ResourceError)
    return error
