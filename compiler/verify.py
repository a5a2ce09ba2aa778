"""Graph -> nothing, or an internal error: what must hold of a graph after every phase."""

from __future__ import annotations

from ..grammar.diagnostics import MergecError
from .graph import Graph, Invoke, Load, Node, Write


def verify(graph: Graph) -> None:
    """Check order, arity, shapes and dtypes of every node. Errors: MergecError E0901."""
    for index, node in enumerate(graph.nodes):
        problem = _problem(graph, index, node)
        if problem:
            raise MergecError.of(
                "E0901", f"the compiler made a wrong graph: node {index} {problem}"
            )


def _problem(graph: Graph, index: int, node: Node) -> str | None:
    op = node.op
    own_shape = _inputs_of_own_shape(node)
    for place, i in enumerate(node.inputs):
        if i >= index:
            return f"uses node {i}, which comes later"
        if isinstance(graph.nodes[i].op, Write):
            return f"uses node {i}, which is a write"
        if graph.nodes[i].type.shape != node.type.shape and place not in own_shape:
            return f"has shape {node.type.shape}, its input {i} {graph.nodes[i].type.shape}"
    if isinstance(op, Load):
        return "loads with inputs" if node.inputs else None
    if isinstance(op, Write):
        value = graph.nodes[node.inputs[0]] if len(node.inputs) == 1 else None
        if value is None:
            return "writes other than one value"
        same = value.type.dtype == node.type.dtype
        return (
            None if node.type.dtype.is_float or same else "would round to a type without fractions"
        )
    if isinstance(op, Invoke):
        invocation = op.invocation
        wanted = invocation.method.count_inputs(invocation.columns, invocation.has_base)
        if len(node.inputs) != wanted:
            return f"has {len(node.inputs)} inputs, `{invocation.method.name}` takes {wanted}"
        if invocation.method.random and len(op.keys) != invocation.sources:
            return f"draws from {len(op.keys)} streams for {invocation.sources} sources"
        if not node.type.dtype.is_float:
            return f"computes in {node.type.dtype}"
    return None


def _inputs_of_own_shape(node: Node) -> set[int]:
    """The places of inputs that only functions of whole tensors take."""
    if not isinstance(node.op, Invoke):
        return set()
    invocation = node.op.invocation
    place = invocation.sources
    found: set[int] = set()
    for parameter in invocation.method.model_columns:
        count = sum(bool(row[parameter.name]) for row in invocation.columns)
        if parameter.whole:
            found.update(range(place, place + count))
        place += count
    return found
