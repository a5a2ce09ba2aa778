"""Plan -> what becomes of each merge's tensors: fused, held, spilled, computed again, or written.

Each merge in the recipe's tree has a key; for each key there is one `Fate` for every way in which
its tensors are treated, with how many there are of them and their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from ..compiler.graph.graph import Graph, Invoke, Op, Write
from ..compiler.planning.plan import Plan, needed_bytes
from ..compiler.planning.strategies import Strategy
from ..compiler.sweeps.components import Template
from ..compiler.sweeps.opaque_calls import needs_whole
from ..grammar.diagnostics import Span
from ..quantities import binary_size, decimal_size

How: TypeAlias = Literal["written", "fused", "held", "spilled", "recomputed", "whole"]

WORDS: dict[How, str] = {
    "written": "written",
    "fused": "fused",
    "held": "held",
    "spilled": "spilled",
    "recomputed": "again",
    "whole": "whole",
}
"""The word for each in a narrow column."""


class Key(NamedTuple):
    """Names a merge: its span, its stage, and without a stage its output.

    A loop's turns share their spans, and tell themselves apart by stage or output.
    """

    span: Span | None
    stage: str
    output: int


class Treated(NamedTuple):
    """How a merge's tensor is treated.

    sweeps: those that need it. cheap: whether computing it again costs no more than holding it.
    """

    how: How
    sweeps: int
    cheap: bool


@dataclass
class Fate:
    """Tensors of one merge that are treated alike.

    bytes, largest: of all of them, and of the largest, in the compute dtype; with `whole` the
    largest is all that its step needs. saved: bytes that would be read more if the values that
    their steps hold were computed again. method: its name.
    """

    how: How
    sweeps: int
    cheap: bool
    method: str
    tensors: int = 0
    bytes: int = 0
    largest: int = 0
    saved: int = 0

    @property
    def reason(self) -> str:
        """Why, in a sentence about `it`: the stage."""
        needed = f"since {_SMALL.get(self.sweeps, self.sweeps)} sweeps need it"
        largest = f"{binary_size(self.largest)} at most at once"
        match self.how:
            case "written":
                return "computed in the sweep that writes it"
            case "fused":
                return "computed tile by tile where it is used, never stored"
            case "held":
                saved = f"; saves reading {decimal_size(self.saved)} again" if self.saved else ""
                return f"held in memory {needed}, {largest}{saved}"
            case "spilled":
                return (
                    f"spilled to a file {needed}: {decimal_size(self.bytes)} in all, "
                    f"in place of {largest} in memory"
                )
            case "recomputed":
                if self.cheap:
                    return f"computed again {needed}, at no more cost than holding it"
                return f"computed again {needed}, to save {binary_size(self.largest)} of memory"
            case "whole":
                return (
                    f"not tiled: {self.method} works on whole tensors, {largest} with arguments, "
                    f"results and scratch"
                )


_SMALL = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


def fates(plan: Plan, keys: Sequence[Sequence[Key]] | None = None) -> dict[Key, list[Fate]]:
    """The fates of each merge that computes anything, the most tensors first.

    keys: `node_keys` of the optimised graph, where they are known.
    """
    keys = keys or node_keys(plan.optimised)
    treated: dict[Strategy, tuple[tuple[int, str, Treated], ...]] = {}
    found: dict[Key, dict[Treated, Fate]] = {}
    nodes = plan.optimised.nodes
    for component, option in zip(plan.components, plan.choices, strict=True):
        if option not in treated:  # components of one template and shape share their strategy
            ops = [nodes[index].op for index in component.nodes]
            treated[option] = tuple(_treated(component.template, option, ops))
        size = component.numel * component.template.program.compute.itemsize
        for place, method, how in treated[option]:
            whole = how.how == "whole"
            for key in keys[component.nodes[place]]:
                of = found.setdefault(key, {})
                fate = of.get(how)
                if fate is None:
                    fate = of[how] = Fate(*how, method)
                fate.tensors += 1
                fate.bytes += size
                largest = needed_bytes(option, plan.threads) if whole else size
                fate.largest = max(fate.largest, largest)
                fate.saved += max(0, option.read_unheld - option.read) if how.how == "held" else 0
    return {key: sorted(by.values(), key=lambda f: -f.tensors) for key, by in found.items()}


def node_keys(graph: Graph) -> list[Sequence[Key]]:
    """The keys of each node that calls a method: without a stage one for each output it is in."""
    spans = [origin.span for origin in graph.origins]
    outputs: list[frozenset[int]] = [frozenset()] * len(graph.nodes)
    keys: list[Sequence[Key]] = [()] * len(graph.nodes)
    known: dict[tuple[Span | None, str, frozenset[int]], Sequence[Key]] = {}
    for index in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[index]
        stage = graph.origins[node.origin].stage
        if isinstance(node.op, Write):
            outputs[index] = frozenset((node.op.output,))
        elif isinstance(node.op, Invoke):
            where = spans[node.origin], stage, outputs[index]
            found = known.get(where)
            if found is None:
                numbers = [-1] if stage else sorted(outputs[index])
                found = known[where] = [Key(where[0], stage, number) for number in numbers]
            keys[index] = found
        if not stage and outputs[index]:
            for i in node.inputs:
                if not outputs[i]:
                    outputs[i] = outputs[index]  # one set for all nodes of one output
                elif not outputs[index] <= outputs[i]:
                    outputs[i] |= outputs[index]
    return keys


def _treated(
    template: Template, option: Strategy, ops: Sequence[Op]
) -> Iterator[tuple[int, str, Treated]]:
    """(place in a component, method, how its value is treated) of each call of a method."""
    program = template.program
    written = {node for node, _ in program.outputs}
    counted = [sweep for sweep in option.sweeps if not sweep.seldom]
    touched = [
        {i for s in sweep.segments for i in (*s.elements, *s.fetches, *s.stores)} | {*sweep.held}
        for sweep in counted
    ]
    stored = {i for sweep in counted for i in sweep.held}
    for place, method, value in template.values:
        needs = sum(value in sweep for sweep in touched)
        how: How
        op = ops[place]
        if isinstance(op, Invoke) and needs_whole(op.invocation):
            how = "whole"
        elif value in option.spilled:
            how = "spilled"
        elif value in stored:
            how = "held"
        elif needs > 1:
            how = "recomputed"
        else:
            how = "written" if value in written else "fused"
        yield place, method, Treated(how, needs, value not in option.worth_holding)
