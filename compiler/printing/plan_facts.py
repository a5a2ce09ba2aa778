"""Plan -> plain data: what `mergec plan --json` prints, and what its readable form is made of."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from ..checkpoint import Checkpoint
from ..components import Component
from ..graph import Invoke
from ..options import Option
from ..plan import FIXED_BYTES, Plan, needed_bytes
from .stages import stage_facts

FORMAT_VERSION = 1


class Disk(NamedTuple):
    """What outputs need on one disk, in bytes, and what is free there; `folder` lies on it."""

    folder: Path
    need: int
    free: int


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain data.

    A key's meaning never changes under one `format_version`; keys may be added. Sizes are in bytes.
    peak_bytes: the most that buffers and held values take at once, and no order of the chosen steps
    stays below lower_bound_bytes (`optimal`: they are the same); the process itself takes about
    fixed_bytes more. seconds: nominal, for comparing plans.
    """
    return {
        "format_version": FORMAT_VERSION,
        "recipe": plan.bound.name,
        "recipe_sha256": hashlib.sha256(plan.source.text.encode()).hexdigest(),
        "threads": plan.threads,
        "limit_bytes": plan.limit,
        "peak_bytes": plan.peak_bytes,
        "lower_bound_bytes": plan.lower_bound_bytes,
        "optimal": plan.optimal,
        "fixed_bytes": FIXED_BYTES,
        "bytes_read": plan.bytes_read,
        "bytes_written": plan.bytes_written,
        "bytes_spilled": plan.bytes_spilled,
        "seconds": plan.seconds,
        "loads": plan.loads,
        "distinct_loads": plan.distinct_loads,
        "operations": operations(plan),
        "sources": [_source(name, found) for name, found in plan.bound.sources.items()],
        "stages": [asdict(facts) for facts in stage_facts(plan)],
        "outputs": list(_outputs(plan)),
        "steps": [
            _step(plan, component, choice)
            for component, choice in zip(plan.components, plan.choices, strict=True)
        ],
        "disks": [disk._asdict() | {"folder": str(disk.folder)} for disk in disks(plan)],
        "warnings": [warning.to_json() for warning in plan.warnings],
    }


def operations(plan: Plan) -> dict[str, int]:
    """Calls of methods in the graph, before and after optimisation."""
    return {
        name: sum(isinstance(node.op, Invoke) for node in graph.nodes)
        for name, graph in (("written", plan.graph), ("computed", plan.optimised))
    }


def disks(plan: Plan) -> list[Disk]:
    """The disks that outputs lie on, in the order of the outputs."""
    needs: dict[int, tuple[Path, int]] = {}
    for output, layout in zip(plan.bound.outputs, plan.layouts, strict=True):
        above = next(above for above in output.path.parents if above.exists())
        device = above.stat().st_dev
        folder, need = needs.get(device, (above, 0))
        needs[device] = folder, need + layout.nbytes
    return [Disk(folder, need, shutil.disk_usage(folder).free) for folder, need in needs.values()]


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


def _source(reference: str, checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "reference": reference,
        "path": str(checkpoint.root),
        "revision": checkpoint.revision,
        "files": [os.fspath(file.path.name) for file in checkpoint.files],
        "dtypes": dtypes_of(checkpoint),
        "tensors": len(checkpoint.tensors),
        "bytes": checkpoint.nbytes,
    }


def _outputs(plan: Plan) -> Iterator[dict[str, Any]]:
    for output, layout in zip(plan.bound.outputs, plan.layouts, strict=True):
        yield {
            "path": str(output.path),
            "tensors": len(layout.slots),
            "parameters": layout.total_parameters,
            "bytes": layout.nbytes,
            "files": [{"name": shard.name, "bytes": shard.size} for shard in layout.shards],
        }


def _step(plan: Plan, component: Component, choice: Option) -> dict[str, Any]:
    names_of = value_names(plan, component)
    origin = plan.optimised.nodes[component.nodes[-1]].origin
    names = [target for targets in component.targets for target in targets]
    return {
        "stage": plan.optimised.origins[origin].stage,
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
    }
