"""Graph -> Graph: drop what no output needs."""

from __future__ import annotations

from ..graph import Graph, Node, Write


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
    place = [0] * len(graph.nodes)
    nodes: list[Node] = []
    for index, node in enumerate(graph.nodes):
        if needed[index]:
            place[index] = len(nodes)
            inputs = tuple([place[i] for i in node.inputs]) if node.inputs else node.inputs
            nodes.append(node if inputs == node.inputs else Node(node[0], inputs, *node[2:]))
    return Graph(nodes=nodes, origins=graph.origins)
