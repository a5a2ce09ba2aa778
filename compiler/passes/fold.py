"""Graph -> Graph: replace what a method says it can do with less.

A method's `simplify` tells, from its parameters and from which inputs are the same tensor, that a
call equals one of its inputs (t = 0, a linear merge of one, a cast to the dtype that is there), is
all zeros (the delta of a model with itself), or needs fewer sources (weight 0).
"""

from __future__ import annotations

from ...grammar.diagnostics import Diagnostics
from ...ops.method import ZERO, Call, MethodError
from ..graph import Graph, Invoke, Node, Zero, copy_node


def fold(graph: Graph) -> Graph:
    """The graph with every call simplified, inputs before users. Errors: RecipeError E0309."""
    problems = Diagnostics()
    result = Graph(origins=graph.origins)
    place: list[int] = []
    for node in graph.nodes:
        inputs = tuple(place[i] for i in node.inputs)
        if isinstance(node.op, Invoke) and node.op.invocation.method.simplify:
            try:
                place.append(_fold(result, node, node.op, inputs))
                continue
            except MethodError as error:
                origin = graph.origins[node.origin]
                problems.report(
                    "E0309", f"`{node.op.invocation.method.name}`: {error}", origin.span
                )
        place.append(copy_node(result, node, inputs))
    problems.raise_errors()
    return result


def _fold(graph: Graph, node: Node, op: Invoke, inputs: tuple[int, ...]) -> int:
    invocation = op.invocation
    simplify = invocation.method.simplify
    assert simplify is not None
    call = _call(graph, op, inputs)
    simpler = simplify(call)
    if simpler is call:
        return graph.invoke(op, inputs, node.type, node.origin)
    if isinstance(simpler, int):
        return graph.zero(node.type, node.origin) if simpler == ZERO else simpler
    method = invocation.method
    columns = method.columns_of(simpler)
    fewer = graph.invocation(method, columns, simpler.settings, invocation.has_base)
    zero = next((i for i in inputs if isinstance(graph.nodes[i].op, Zero)), ZERO)
    left = tuple(zero if i == ZERO else i for i in method.inputs(simpler))
    return graph.invoke(Invoke(fewer, simpler.keys), left, node.type, node.origin)


def _call(graph: Graph, op: Invoke, inputs: tuple[int, ...]) -> Call:
    invocation = op.invocation
    known = [graph.nodes[i] for i in inputs]
    identities = tuple(
        ZERO if isinstance(n.op, Zero) else i for i, n in zip(inputs, known, strict=True)
    )
    rounded = tuple(n.type.dtype.name if n.type.rounded else None for n in known)
    return invocation.method.call(
        identities,
        invocation.columns,
        invocation.settings,
        invocation.has_base,
        op.keys,
        rounded[: invocation.sources],
    )
