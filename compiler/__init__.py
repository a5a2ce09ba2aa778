"""Recipe text -> Plan: the whole compiler, a phase a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.catalog import Catalog
from ..checkpoints.hub.hub import Hub
from ..grammar import AS_WRITTEN, YamlOptions, parse
from ..grammar.diagnostics import Diagnostics, SourceText
from .binding.bind import bind
from .binding.method_signatures import SIGNATURES
from .graph.passes import optimise
from .lowering.lower import lower
from .planning.machine import processor_count
from .planning.plan import Memory, Plan, Request, make_plan
from .recursion import deep_recursion
from .sweeps.components import components

Emit = Callable[[str, Any], None]


@deep_recursion()
def compile_recipe(
    source: SourceText,
    *,
    folder: Path,
    models: Sequence[Path] = (),
    overrides: Mapping[str, str] | None = None,
    out: str | None = None,
    threads: int | None = None,
    memory: Memory = None,
    optimise_level: int = 1,
    yaml: YamlOptions = AS_WRITTEN,
    hub: Hub | None = None,
    trust: bool = False,
    emit: Emit = lambda phase, result: None,
) -> Plan:
    """Everything that a run of the recipe will do; only headers of checkpoints are read.

    folder: what the recipe's relative paths start from. models: local mirrors, where
    `DIR/org/name` stands for `org/name`. overrides: values of the recipe's `param`s, as text.
    out: path of the output (of several outputs: the folder that they go into). threads: workers, by
    default one a core. memory: most bytes of buffers and held values, or `min`. optimise_level: 2
    also takes sums apart where that changes their last bits (see `collapse`). yaml: how mergekit's
    YAML is read. hub: where models are found that aren't on this machine. trust: run the Python
    files of methods that the recipe uses. emit: called with each phase's name and result.
    Errors: RecipeError, CheckpointError, ResourceError, each with all problems found.
    """
    problems = Diagnostics()
    hub = hub or Hub()
    recipe = parse(source, SIGNATURES, yaml)
    emit("ast", recipe)
    catalog = Catalog(folder, models, hub)
    bound = bind(recipe, catalog, overrides=overrides or {}, out=out, trust=trust)
    lowered = lower(bound, problems)
    problems.raise_errors()
    emit("graph", lowered.graph)
    graph = optimise(lowered.graph)
    emit("optimized", graph)
    refuses_nonfinite = bound.settings.nonfinite == "error"
    found = components(graph, bound.settings.arithmetic, refuses_nonfinite, optimise_level)
    workers = threads or processor_count()
    request = Request(
        folder, tuple(models), dict(overrides or {}), out, optimise_level, yaml, hub.streams
    )
    plan = make_plan(
        request, source, bound, lowered, graph, found, problems.warnings, workers, memory
    )
    emit("schedule", plan)
    return plan
