"""A network of capacities -> its largest flow, which is its least cut (Dinic 1970)."""

from __future__ import annotations


class FlowNetwork:
    """Directed edges with whole capacities between nodes numbered from 0."""

    def __init__(self, count: int) -> None:
        self._edges: list[list[int]] = [[] for _ in range(count)]
        self._head: list[int] = []
        self._left: list[int] = []  # edge e and its reverse e ^ 1

    def add(self, tail: int, head: int, capacity: int) -> None:
        """An edge from `tail` to `head`."""
        self._edges[tail].append(len(self._head))
        self._edges[head].append(len(self._head) + 1)
        self._head += (head, tail)
        self._left += (capacity, 0)

    def max_flow(self, source: int, sink: int) -> int:
        """The largest flow; uses the capacities up."""
        total = 0
        while (level := self._levels(source, sink))[sink] >= 0:
            pending = [list(edges) for edges in self._edges]
            while pushed := self._augment(source, sink, level, pending):
                total += pushed
        return total

    def _levels(self, source: int, sink: int) -> list[int]:
        level = [-1] * len(self._edges)
        level[source] = 0
        queue = [source]
        for node in queue:  # grows while it is read
            for edge in self._edges[node]:
                head = self._head[edge]
                if level[head] < 0 and self._left[edge]:
                    level[head] = level[node] + 1
                    queue.append(head)
        return level

    def _augment(self, source: int, sink: int, level: list[int], pending: list[list[int]]) -> int:
        """Push along one shortest path; 0 if no path is left in this level graph."""
        path: list[int] = []
        node = source
        while node != sink:
            while pending[node]:
                edge = pending[node][-1]
                head = self._head[edge]
                if self._left[edge] and level[head] == level[node] + 1:
                    break
                pending[node].pop()
            if pending[node]:
                path.append(pending[node][-1])
                node = self._head[path[-1]]
            elif path:
                node = self._head[path.pop() ^ 1]
                pending[node].pop()
            else:
                return 0
        pushed = min(self._left[edge] for edge in path)
        for edge in path:
            self._left[edge] -= pushed
            self._left[edge ^ 1] += pushed
        return pushed
