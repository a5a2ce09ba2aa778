"""Graph -> Graph: replace what a method says it can do with less.

A method's `simplify` tells, from its parameters and from which inputs are the same tensor, that a
call equals one of its inputs (t = 0, a linear merge of one, a cast to the dtype that is there), is
all zeros (the delta of a model with itself), or needs fewer sources (weight 0).
"""

from __future__ import annotations

from ...grammar.diagnostics import Diagnostics
from ...ops.errors import MethodError
from ...ops.method import ZERO, Call
from ..graph import Graph, Invoke, Node, Zero, copy_node


def fold(graph: Graph) -> Graph:
    """The graph with every call simplified, inputs before users. Errors: RecipeError E0309."""
    problems = Diagnostics()
    result: Graph | None = None  # made when there is something to change
    place: list[int] = []
    for index, node in enumerate(graph.nodes):
        here = graph if result is None else result
        inputs = node.inputs if result is None else tuple(place[i] for i in node.inputs)
        op = node.op
        # a threshold for a whole model takes all of its tensors, those without effect too
        if isinstance(op, Invoke) and op.invocation.method.simplify is not None and not op.pools:
            call = _call(here, op, inputs)
            try:
                simpler = op.invocation.method.simplify(call)
            except MethodError as error:
                span = graph.origins[node.origin].span
                problems.report("E0309", f"`{op.invocation.method.name}`: {error}", span)
                simpler = call
            if simpler is not call:
                if result is None:
                    result, place = _first(graph, index), list(range(index))
                place.append(_folded(result, node, op, inputs, simpler))
                continue
        if result is not None:
            place.append(copy_node(result, node, inputs))
    problems.raise_errors()
    return graph if result is None else result.freeze()


def _first(graph: Graph, count: int) -> Graph:
    """A graph of the first nodes of another, in their places."""
    result = Graph(origins=graph.origins)
    for node in graph.nodes[:count]:
        copy_node(result, node, node.inputs)
    return result


def _folded(
    graph: Graph, node: Node, op: Invoke, inputs: tuple[int, ...], simpler: Call | int
) -> int:
    if isinstance(simpler, int):
        return graph.zero(node.type, node.origin) if simpler == ZERO else simpler
    invocation = op.invocation
    method = invocation.method
    columns = method.columns_of(simpler)
    fewer = graph.invocation(method, columns, simpler.settings, invocation.has_base)
    zero = next((i for i in inputs if isinstance(graph.nodes[i].op, Zero)), ZERO)
    left = tuple(zero if i == ZERO else i for i in method.inputs(simpler))
    return graph.invoke(Invoke(fewer, simpler.keys), left, node.type, node.origin)


def _call(graph: Graph, op: Invoke, inputs: tuple[int, ...]) -> Call:
    invocation = op.invocation
    method = invocation.method
    nodes = graph.nodes
    identities = tuple([ZERO if isinstance(nodes[i].op, Zero) else i for i in inputs])
    rounded: tuple[str | None, ...] = ()
    if method.rounds_to is not None:
        types = [nodes[i].type for i in inputs[: invocation.sources]]
        rounded = tuple(kind.dtype.name if kind.rounded else None for kind in types)
    return method.call(
        identities, invocation.columns, invocation.settings, invocation.has_base, op.keys, rounded
    )
