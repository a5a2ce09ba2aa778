"""Components -> Passes over the model, which find the thresholds that many tensors share.

A pool is all the values that one such threshold is looked for among. Thresholds that hang on others
(pcb's scores on its clamps, a stage's on those of a stage before) are found after them, in rounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ...grammar.diagnostics import RecipeError, Span
from ..graph.graph import Graph, Invoke
from .components import Component
from .program import Program, Sweep, pool_looks
from .sweeps import pool_sweep
from .work_units import depends_on_sums

Rounds = Mapping[int, int]
"""pool -> the round in which its threshold is found."""


class ModelScan(NamedTuple):
    """A component's part in one pass over the model."""

    number: int
    sweep: Sweep


def pool_rounds(found: Sequence[Component]) -> Rounds:
    """Every pool in the first round in which all is known that its values hang on."""
    hanging = {t: _hanging(t.program) for c in found if (t := c.template).program.pooled}
    needs: dict[int, set[int]] = {}
    for component in found if hanging else ():
        for selection, behind in hanging.get(component.template, {}).items():
            pools = {component.pooled[other] for other in behind}
            needs.setdefault(component.pooled[selection], set()).update(pools)
    rounds: dict[int, int] = {}
    while len(rounds) < len(needs):
        known = max(rounds.values(), default=-1) + 1
        ready = [p for p, n in needs.items() if p not in rounds and n <= rounds.keys()]
        assert ready, "thresholds need each other"
        rounds |= dict.fromkeys(ready, known)
    return rounds


def pool_passes(component: Component, rounds: Rounds, graph: Graph) -> tuple[ModelScan, ...]:
    """The walks that find thresholds of whole models. Errors: RecipeError E0320."""
    program = component.template.program
    for index in program.pooled:
        if depends_on_sums(program, program.nodes[index].args[0]):
            raise RecipeError.of(
                "E0320",
                "`scope = model` can't look at a stage that itself needs sums over whole tensors",
                span=_span_of(component, graph, index),
                notes=(f"at `{component.targets[0][0].name}`",),
                hint="save that stage first, and merge the saved model",
            )
    looks = pool_looks(program.compute)
    passes = []
    for turn in sorted({rounds[pool] for pool in component.pooled.values()}):
        now = [i for i in program.pooled if rounds[component.pooled[i]] == turn]
        passes += [ModelScan(turn * looks + n, pool_sweep(program, now, n)) for n in range(looks)]
    return tuple(passes)


def pool_sizes(found: Iterable[Component]) -> dict[int, int]:
    """The elements of each pool: all that are looked at for its threshold."""
    sizes: dict[int, int] = {}
    for component in found:
        for pool in component.pooled.values():
            sizes[pool] = sizes.get(pool, 0) + component.numel
    return sizes


def _span_of(component: Component, graph: Graph, selection: int) -> Span | None:
    """The place of the merge that a selection belongs to."""
    pool = component.pooled[selection]
    nodes = (graph.nodes[index] for index in component.nodes)
    merge = next(n for n in nodes if isinstance(n.op, Invoke) and pool in n.op.pools)
    return graph.origins[merge.origin].span


def _hanging(program: Program) -> dict[int, set[int]]:
    """For each threshold of a whole model the others that its values hang on."""
    pooled = set(program.pooled)
    behind: list[set[int]] = []
    for node in program.nodes:
        direct = {i for i in node.args if i in pooled}
        behind.append(direct.union(*(behind[i] for i in node.args)))
    return {i: behind[i] for i in pooled}
