"""Graph -> Graph: the passes in order, with the verifier between them.

Sharing needs no pass: nodes are interned, so work that a pass makes equal becomes one node.
"""

from __future__ import annotations

from collections.abc import Callable

from ..graph import Graph
from ..verify import verify
from .fold import fold
from .prune import prune

PASSES: tuple[Callable[[Graph], Graph], ...] = (fold, prune)


def optimise(graph: Graph) -> Graph:
    """The graph after all passes; every pass's result is verified.

    Nothing can be added to either graph any more.
    """
    first = graph
    verify(graph)
    for run in PASSES:
        before, graph = graph, run(graph)
        if graph is not before:
            verify(graph)
    first.freeze()
    graph.freeze()
    return graph
