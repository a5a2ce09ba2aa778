r"""Graph -> Schedule: an order of its steps that needs the least memory, with a lower bound.

A value is in memory from the step that makes it to the last step that reads it. A step needs the
values in memory, its own result, and its workspace. The peak of an order is its largest step.

    a 6 --> x 1 --.                 numbers are sizes in bytes
                   >--> z 2
    b 3 --> y 2 --'

    level by level      a b x y z     in memory  6  9 10  6  5     peak 10
    b's branch first    b y a x z                3  5  8  9  5     peak 9
    a's branch first    a x b y z                6  7  4  6  5     peak 7

The branch of a climbs to 7 and falls to 1, that of b climbs to 5 and falls to 2: the larger fall
goes first. A longer branch is cut at its valleys, and its stretches are merged with the others'
by the same rule: where no value is read twice, that gives the least peak (`liu`).

Values with several readers tie branches together, and then the order is searched for. The
executed nodes form a set closed under inputs; memory depends on that set alone, whatever the
order was, so there is one state a set:

    {} -- a --> {a} -- x --> {a x} -- b --> {a b x} -- y --> ...
      \-- b --> {b} ...

Four exact reductions keep the states few: loads wait for their first reader, and in-trees that
share nothing become chains (`condensed`); steps that can do no harm are taken at once, and
sets that differ by look-alike branches are one (`downsets`, `twins`). The best
order known is a bound from above; what a step is forced to find in memory, or a minimum cut, is
one from below (`bounds`). When the two meet the order is optimal; if the limit of states
comes first, the schedule says what is left between them (`component_order`).

Parts of the graph that share no bytes are ordered one by one, and like parts only once
(`connected_parts`), so that 300,000 nodes take less than a second.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ...grammar.diagnostics import ResourceError
from .component_order import ComponentOrder, plan
from .connected_parts import Planner, components, free_nodes
from .liu import Stretch, merged
from .problem import SHAPE, Problem, check_limit, checked, inputs_first
from .simulate import check_peak

if TYPE_CHECKING:
    import networkx

__all__ = ["Problem", "Schedule", "minimise_peak", "order_problem"]

MOST_JOINT = 150
"""Nodes up to which components that leave something in memory are searched as one problem."""

Step = TypeVar("Step", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Schedule(Generic[Step]):
    """An order of a graph's nodes.

    order        every node once, inputs first
    peak         the most memory that a step of it needs, in bytes
    lower_bound  what every order needs at least, in bytes
    optimal      the two are equal, so that no order is better
    """

    order: list[Step]
    peak: int
    lower_bound: int
    optimal: bool


class Piece(NamedTuple):
    """A component: its nodes, its plan in their positions, and the factor for the plan's bytes."""

    nodes: list[int]
    plan: ComponentOrder
    unit: int


def minimise_peak(graph: networkx.DiGraph[Step], *, max_states: int = 20_000) -> Schedule[Step]:
    """Order the nodes of a graph for the least peak memory.

    Edges go from producer to consumer. Step attributes, all optional: `size` (bytes held by the
    node's value), `workspace` (bytes while it runs), `inplace` (it may overwrite one dying input
    of equal size), `retain` (its value lives to the end). `max_states` limits the search of each
    component in expanded states, not in seconds: the same plan on every machine.

    Raises ResourceError: E0510 for a cycle, E0511 for bytes that are negative or not whole, E0513
    for a flag that isn't one, E0514 for what isn't a directed graph, E0515 for a bad limit.
    """
    if not (hasattr(graph, "is_directed") and graph.is_directed()):
        raise ResourceError.of(
            SHAPE,
            f"only a directed graph has an order, and this is a {type(graph).__name__}",
            hint="give a networkx.DiGraph with edges from producer to consumer",
        )
    nodes = list(graph)
    number = {node: i for i, node in enumerate(nodes)}
    attributes = [graph.nodes[node] for node in nodes]
    problem = Problem(
        [a.get("size", 0) for a in attributes],
        [a.get("workspace", 0) for a in attributes],
        [a.get("inplace", False) for a in attributes],
        [a.get("retain", False) for a in attributes],
        [[number[p] for p in graph.predecessors(node)] for node in nodes],
    )
    found = _ordered(problem, max_states, [repr(node) for node in nodes])
    check_peak(problem, found.order, found.peak)
    order = [nodes[i] for i in found.order]
    return Schedule(order, found.peak, found.lower_bound, found.optimal)


def order_problem(problem: Problem, max_states: int = 20_000) -> Schedule[int]:
    """Order a problem given as lists; the order is of node numbers.

    Raises as `minimise_peak` does, and E0512 for an input that doesn't exist. The schedule isn't
    simulated; `simulate.check_peak` does that, and gives the memory of every step.
    """
    return _ordered(problem, max_states, None)


def _ordered(problem: Problem, max_states: int, names: Sequence[str] | None) -> Schedule[int]:
    label = names.__getitem__ if names else str
    limit = check_limit(max_states)
    problem = checked(problem, label)
    numbering = inputs_first(problem, label)
    if numbering is None:
        return _schedule(problem, limit)
    found = _schedule(problem.subset(numbering), limit)
    order = [numbering[i] for i in found.order]
    return Schedule(order, found.peak, found.lower_bound, found.optimal)


def _schedule(problem: Problem, max_states: int) -> Schedule[int]:
    """Components that leave nothing behind in order of creation, then those that do, together."""
    free = free_nodes(problem)
    planner = Planner(problem, free, max_states)
    order: list[int] = []
    peak = bound = 0
    staying: list[Piece] = []
    for nodes in components(problem, free):
        found, unit = planner.plan(nodes)
        if found.residue:
            staying.append(Piece(nodes, found, unit))
            continue
        order += [nodes[i] for i in found.order]
        peak = max(peak, found.peak * unit)
        bound = max(bound, found.lower_bound * unit)
    if staying:
        tail, tail_peak, tail_bound = _together(problem, staying, max_states)
        order += tail
        peak, bound = max(peak, tail_peak), max(bound, tail_bound)
    return Schedule(_with_free(problem, free, order), peak, bound, peak == bound)


def _together(
    problem: Problem, pieces: Sequence[Piece], max_states: int
) -> tuple[list[int], int, int]:
    """The order, peak and bound of components whose residues add up.

    Their profiles are merged as Liu merges subtrees, which is exact if no component has a better
    profile. If some may have, and they are small enough, they are searched as one problem.
    """
    order, peak = _merged(pieces)
    if len(pieces) == 1 or all(piece.plan.composable for piece in pieces):
        bound = pieces[0].plan.lower_bound * pieces[0].unit if len(pieces) == 1 else peak
        return order, peak, bound
    bound = max(
        sum(piece.plan.residue * piece.unit for piece in pieces),
        max(piece.plan.lower_bound * piece.unit for piece in pieces),
    )
    nodes = sorted(v for piece in pieces for v in piece.nodes)
    if bound < peak and len(nodes) <= MOST_JOINT:
        joint = plan(problem.subset(nodes), max_states)
        bound = max(bound, joint.lower_bound)
        if joint.peak < peak:
            order, peak = [nodes[i] for i in joint.order], joint.peak
    return order, peak, bound


def _merged(pieces: Sequence[Piece]) -> tuple[list[int], int]:
    """The stretches of all components, interleaved by their falls; and the peak."""
    stretches: list[list[int]] = []
    chains: list[list[Stretch]] = []
    for nodes, found, unit in pieces:
        chain: list[Stretch] = []
        start = 0
        for hill, valley, end in found.climbs:
            chain.append(Stretch(hill * unit, valley * unit, len(stretches)))
            stretches.append([nodes[i] for i in found.order[start:end]])
            start = end
        chains.append(chain)
    profile = merged(chains)
    order = [v for segment in profile for i in segment.nodes for v in stretches[i]]
    return order, profile[0].hill


def _with_free(problem: Problem, free: bytearray, order: Sequence[int]) -> list[int]:
    """The order with each free node right before its first consumer, the unused ones last."""
    waiting = bytearray(free)
    result: list[int] = []
    for node in order:
        for p in problem.preds[node]:
            if waiting[p]:
                waiting[p] = 0
                result.append(p)
        result.append(node)
    result += [node for node, left in enumerate(waiting) if left]
    return result
