"""Plan -> plain data: what `mergec plan --json` prints, and what its readable form is made of."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..checkpoints.checkpoint import Checkpoint
from ..compiler.binding.stage_selection import output_name, source_name
from ..compiler.graph.graph import Invoke
from ..compiler.planning.estimate import Estimate, estimate, seconds_of
from ..compiler.planning.plan import FIXED_BYTES, Plan, needed_bytes
from ..compiler.planning.strategies import Strategy
from ..compiler.planning.timeline import Moment, binding_moment, timeline
from ..compiler.sweeps.components import Component
from .fetch_text import to_fetch
from .stages import Shown, StageFacts, Stages
from .treatment import How, fates

FORMAT_VERSION = 1


class Disk(NamedTuple):
    """What outputs need on one disk, in bytes, and what is free there; `folder` lies on it.

    spill: the part of `need` that spill files take while the run lasts.
    """

    folder: Path
    need: int
    free: int
    spill: int


class FrontierRow(NamedTuple):
    """A way to run a recipe: its peak and volume in bytes, its time, and the stages in each state.

    Stages that are only fused or written aren't named.
    """

    peak_bytes: int
    bytes_read: int
    bytes_spilled: int
    seconds: float
    held: tuple[str, ...]
    spilled: tuple[str, ...]
    recomputed: tuple[str, ...]
    whole: tuple[str, ...]
    chosen: bool


def plan_json(plan: Plan, shown: Shown = lambda name: True) -> dict[str, Any]:
    """The plan as plain data; `shown` limits the sources, stages, outputs and steps.

    A key's meaning never changes under one `format_version`; keys may be added. Sizes are in bytes,
    times in seconds. peak_bytes: the most that buffers and held values take at once, and no order
    of the chosen steps stays below lower_bound_bytes (`optimal`: they are the same); the process
    itself takes about fixed_bytes more. All figures are those of the whole plan.
    """
    made = estimate(plan)
    stages = [facts for facts in Stages(plan).facts() if shown(facts.name)]
    return {
        "format_version": FORMAT_VERSION,
        "recipe": plan.bound.name,
        "recipe_sha256": plan.source.sha256,
        "seed": seed(plan),
        "threads": plan.threads,
        "limit_bytes": plan.limit,
        "peak_bytes": plan.peak_bytes,
        "lower_bound_bytes": plan.lower_bound_bytes,
        "optimal": plan.optimal,
        "fixed_bytes": FIXED_BYTES,
        "binding": _binding(plan),
        "bytes_read": plan.bytes_read,
        "bytes_read_most": plan.bytes_read_most,
        "bytes_written": plan.bytes_written,
        "bytes_spilled": plan.bytes_spilled,
        "loads": plan.loads,
        "distinct_loads": plan.distinct_loads,
        "operations": operations(plan),
        "estimate": _estimate(made),
        "frontier": [row._asdict() for row in frontier(plan, made)],
        "sources": [
            _source(plan, name, found)
            for name, found in plan.bound.sources.items()
            if shown(source_name(plan.bound, name))
        ],
        "stages": [_stage(facts) for facts in stages],
        "outputs": list(_outputs(plan, shown)),
        "steps": list(_steps(plan, shown)),
        "disks": [disk._asdict() | {"folder": str(disk.folder)} for disk in disks(plan)],
        "warnings": [warning.to_json() for warning in plan.warnings],
    }


def frontier(plan: Plan, made: Estimate) -> list[FrontierRow]:
    """What each memory limit that makes a difference buys, the most memory first."""
    rows: list[FrontierRow] = []
    for row in plan.frontier():
        other = replace(plan, choices=row.choices)
        found: dict[How, dict[str, None]] = {
            "held": {},
            "spilled": {},
            "recomputed": {},
            "whole": {},
        }
        for key, treated in fates(other).items():
            for fate in treated:
                if fate.how in found:
                    found[fate.how][key.stage or fate.method] = None
        rows.append(
            FrontierRow(
                row.peak,
                row.read,
                row.spilled,
                seconds_of(plan, row.choices, made),
                held=tuple(found["held"]),
                spilled=tuple(found["spilled"]),
                recomputed=tuple(found["recomputed"]),
                whole=tuple(found["whole"]),
                # the plan is the fastest within its limit: the first row that keeps to it
                chosen=row.peak <= plan.limit and not any(earlier.chosen for earlier in rows),
            )
        )
    return rows


def seed(plan: Plan) -> int | None:
    """What random masks are drawn from; None where nothing is random."""
    random = any(isinstance(n.op, Invoke) and n.op.keys for n in plan.optimised.nodes)
    return plan.bound.settings.seed if random else None


def operations(plan: Plan) -> dict[str, int]:
    """Calls of methods in the graph, before and after optimisation."""
    return {
        name: [type(node.op) for node in graph.nodes].count(Invoke)
        for name, graph in (("written", plan.graph), ("computed", plan.optimised))
    }


def disks(plan: Plan) -> list[Disk]:
    """The disks that outputs lie on, in the order of the outputs."""
    needs: dict[int, tuple[Path, int, int]] = {}
    for output, spilled in zip(plan.outputs, plan.most_spilled, strict=True):
        above = next(above for above in output.path.parents if above.exists())
        device = above.stat().st_dev
        folder, need, spill = needs.get(device, (above, 0, 0))
        needs[device] = folder, need + output.layout.nbytes, max(spill, spilled)
    return [
        Disk(folder, need + spill, shutil.disk_usage(folder).free, spill)
        for folder, need, spill in needs.values()
    ]


def value_names(plan: Plan, component: Component) -> dict[int, str]:
    """What the values of a step that it may hold are: their stage, else the method behind them."""
    names: dict[int, str] = {}
    for place, method, value in component.template.values:
        origin = plan.optimised.nodes[component.nodes[place]].origin
        names[value] = plan.optimised.origins[origin].stage or method
    return names


def dtypes_of(checkpoint: Checkpoint) -> list[str]:
    """The dtypes of a checkpoint's tensors, the one with most bytes first."""
    found: Counter[str] = Counter()
    for tensor in checkpoint.tensors.values():
        found[tensor.dtype.name] += tensor.nbytes
    return [name for name, _ in found.most_common()]


def _source(plan: Plan, reference: str, checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "reference": reference,
        "path": checkpoint.place,
        "revision": checkpoint.revision,
        "files": [file.name for file in checkpoint.files],
        "dtypes": dtypes_of(checkpoint),
        "tensors": len(checkpoint.tensors),
        "bytes": checkpoint.nbytes,
        "bytes_to_fetch": to_fetch(plan, checkpoint),
    }


def _stage(facts: StageFacts) -> dict[str, Any]:
    treatments = [
        {key: value for key, value in asdict(fate).items() if key not in ("cheap", "method")}
        | {"reason": fate.reason}
        for fate in facts.treatments
    ]
    return asdict(facts) | {"output": facts.output, "treatments": treatments}


def _estimate(made: Estimate) -> dict[str, Any]:
    return {
        "seconds": made.total,
        "disk_bound": made.disk_bound,
        "cached_share": made.cached,
        "uncounted_methods": list(made.uncounted),
        "kernels": made.kernels,
        "copy_bytes_per_second": made.machine.copied,
        "slowness": made.machine.slowness,
        "cores": made.machine.cores,
    }


def _binding(plan: Plan) -> dict[str, Any] | None:
    moment = binding_moment(plan)
    if moment is None:
        return None
    component = plan.components[moment.component]
    return {
        "step": moment.component,
        "tensor": component.targets[0][0].name,
        **_moment(moment, value_names(plan, component)),
    }


def _moment(moment: Moment, names: dict[int, str]) -> dict[str, Any]:
    return {
        "sweep": moment.sweep,
        "bytes": moment.nbytes,
        "scratch_bytes": moment.scratch,
        "tile_bytes": moment.tiles,
        "held": [names.get(node, f"%{node}") for node in moment.held],
    }


def _outputs(plan: Plan, shown: Shown) -> Iterator[dict[str, Any]]:
    for output, layout in zip(plan.bound.outputs, plan.layouts, strict=True):
        if not shown(output_name(output)):
            continue
        yield {
            "path": str(output.path),
            "tensors": len(layout.slots),
            "parameters": layout.total_parameters,
            "bytes": layout.nbytes,
            "files": [{"name": shard.name, "bytes": shard.size} for shard in layout.shards],
        }


def _steps(plan: Plan, shown: Shown) -> Iterator[dict[str, Any]]:
    outputs = [output_name(output) for output in plan.bound.outputs]
    moments: list[list[Moment]] = [[] for _ in plan.components]
    for moment in timeline(plan):
        moments[moment.component].append(moment)
    for number, component in enumerate(plan.components):
        named = {outputs[target.output] for targets in component.targets for target in targets}
        if any(map(shown, {*named, *stages_of(plan, component)})):
            yield _step(plan, component, plan.choices[number], moments[number])


def stages_of(plan: Plan, component: Component) -> list[str]:
    """The named stages whose tensors a step computes, inputs first."""
    graph = plan.optimised
    found = (
        graph.origins[graph.nodes[index].origin].stage
        for index in component.nodes
        if isinstance(graph.nodes[index].op, Invoke)
    )
    return list(dict.fromkeys(stage for stage in found if stage))


def _step(
    plan: Plan, component: Component, choice: Strategy, moments: Sequence[Moment]
) -> dict[str, Any]:
    names_of = value_names(plan, component)
    origin = plan.optimised.nodes[component.nodes[-1]].origin
    names = [target for targets in component.targets for target in targets]
    return {
        "stage": plan.optimised.origins[origin].stage,
        "stages": stages_of(plan, component),
        "shape": list(component.shape),
        "copies": component.template.copies,
        "writes": [{"output": target.output, "tensor": target.name} for target in names],
        "reads": [
            {"source": load.checkpoint.reference, "tensor": load.tensor.name}
            for load in component.loads
        ],
        "sweeps": max(1, len(choice.sweeps)),
        "held": [names_of.get(node, f"%{node}") for node in choice.held],
        "spilled": [names_of.get(node, f"%{node}") for node in sorted(choice.spilled)],
        "bytes_read": choice.read,
        "bytes_spilled": choice.spilled_bytes,
        "peak_bytes": needed_bytes(choice, plan.threads),
        "memory": [_moment(moment, names_of) for moment in moments],
    }
