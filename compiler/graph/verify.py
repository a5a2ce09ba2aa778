"""Graph -> nothing, or an internal error: what must hold of a graph after every phase."""

from __future__ import annotations

from ...grammar.diagnostics import MergecError
from .graph import Graph, Invoke, Load, Node, Write


def verify(graph: Graph) -> None:
    """Check order, arity, shapes and dtypes of every node. Errors: MergecError E0901."""
    for index, node in enumerate(graph.nodes):
        if type(node.op) is Load and not node.inputs:
            continue  # most of a large graph
        problem = _problem(graph, index, node)
        if problem:
            raise MergecError.of(
                "E0901", f"the compiler made a wrong graph: node {index} {problem}"
            )


def _problem(graph: Graph, index: int, node: Node) -> str | None:
    op, nodes, shape = node.op, graph.nodes, node.type.shape
    if isinstance(op, Load):
        return "loads with inputs"
    for place, i in enumerate(node.inputs):
        if i >= index:
            return f"uses node {i}, which comes later"
        if isinstance(nodes[i].op, Write):
            return f"uses node {i}, which is a write"
        if nodes[i].type.shape != shape and place not in _inputs_of_own_shape(node):
            return f"has shape {shape}, its input {i} {nodes[i].type.shape}"
    if isinstance(op, Write):
        if len(node.inputs) != 1:
            return "writes other than one value"
        same = nodes[node.inputs[0]].type.dtype == node.type.dtype
        return None if same or node.type.dtype.is_float else "would change a type without fractions"
    if isinstance(op, Invoke):
        return _invoke_problem(node, op)
    return None


def _invoke_problem(node: Node, op: Invoke) -> str | None:
    invocation = op.invocation
    wanted = invocation.inputs
    if len(node.inputs) != wanted:
        return f"has {len(node.inputs)} inputs, `{invocation.method.name}` takes {wanted}"
    if invocation.method.random and len(op.keys) != invocation.sources:
        return f"draws from {len(op.keys)} streams for {invocation.sources} sources"
    return None if node.type.dtype.is_float else f"computes in {node.type.dtype}"


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
