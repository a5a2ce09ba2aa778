"""Graph -> Graph: drop what no output needs."""

from __future__ import annotations

from ..graph import Graph, Write, copy_node


def prune(graph: Graph) -> Graph:
    """The graph without nodes that no write depends on."""
    needed = [False] * len(graph.nodes)
    for index in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[index]
        if needed[index] or isinstance(node.op, Write):
            needed[index] = True
            for i in node.inputs:
                needed[i] = True
    if all(needed):
        return graph
    result = Graph(origins=graph.origins)
    place: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        if needed[index]:
            place[index] = copy_node(result, node, tuple(place[i] for i in node.inputs))
    return result.freeze()
