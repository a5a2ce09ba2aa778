"""Problem -> its least peak, by dynamic programming over every set of executed nodes.

Nothing is clever here, and no code is shared with the scheduler: this is the definition.
"""

from __future__ import annotations

from mergec.compiler.scheduling.schedule import Problem


def least_peak(problem: Problem) -> int:
    """The least peak of all orders, in bytes. For graphs of up to about twenty nodes."""
    count = len(problem.sizes)
    inputs = [set(p) for p in problem.preds]
    readers = [{c for c in range(count) if v in inputs[c]} for v in range(count)]
    need = [sum(1 << p for p in inputs[v]) for v in range(count)]
    read_by = [sum(1 << c for c in readers[v]) for v in range(count)]

    def memory(done: int) -> int:
        return sum(
            problem.sizes[v]
            for v in range(count)
            if done >> v & 1 and (problem.retain[v] or read_by[v] & ~done)
        )

    def during(node: int, done: int, held: int) -> int:
        size = problem.sizes[node]
        dying = [
            problem.sizes[p]
            for p in inputs[node]
            if not problem.retain[p] and not read_by[p] & ~(done | 1 << node)
        ]
        alloc = 0 if problem.inplace[node] and size in dying else size
        return held + alloc + problem.workspaces[node]

    level = {0: 0}
    for _ in range(count):
        following: dict[int, int] = {}
        for done, peak in level.items():
            held = memory(done)
            for node in range(count):
                if done >> node & 1 or need[node] & ~done:
                    continue
                after = done | 1 << node
                reached = max(peak, during(node, done, held))
                if reached < following.get(after, reached + 1):
                    following[after] = reached
        level = following
    return level[(1 << count) - 1]
