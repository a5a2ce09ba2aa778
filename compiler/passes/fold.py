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
    fewer = graph.invocation(
        invocation.method, simpler.columns, simpler.settings, invocation.has_base
    )
    base = () if simpler.base is None else (simpler.base,)
    kept = Invoke(fewer, simpler.keys)
    return graph.invoke(kept, simpler.sources + base, node.type, node.origin)


def _call(graph: Graph, op: Invoke, inputs: tuple[int, ...]) -> Call:
    invocation = op.invocation
    known = [graph.nodes[i] for i in inputs]
    identities = tuple(
        ZERO if isinstance(n.op, Zero) else i for i, n in zip(inputs, known, strict=True)
    )
    rounded = tuple(n.type.dtype.name if n.type.rounded else None for n in known)
    count = invocation.sources
    return Call(
        sources=identities[:count],
        base=identities[count] if invocation.has_base else None,
        columns=invocation.columns,
        settings=invocation.settings,
        keys=op.keys,
        rounded=rounded[:count],
    )
