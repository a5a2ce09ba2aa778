"""Problem and order -> the memory of every step, straight from the definition.

This shares no code with what makes the orders, so that it can check them: it counts, for every
value, the consumers that have not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...grammar.diagnostics import RunError
from .problem import Problem

REPORT = "this is a bug in mergec; please report it with the recipe"


@dataclass(frozen=True, slots=True)
class Timeline:
    """The memory of an order, in bytes: one entry a step."""

    during: list[int]
    after: list[int]

    @property
    def peak(self) -> int:
        """The largest step; 0 for an empty order."""
        return max(self.during, default=0)


def simulate(problem: Problem, order: Sequence[int]) -> Timeline:
    """Run an order on paper.

    Raises RunError (E0910) if the order isn't a permutation of the nodes with inputs first.
    """
    count = len(problem.sizes)
    unread = [0] * count
    for inputs in problem.preds:
        for p in set(inputs):
            unread[p] += 1
    if len(order) != count:
        raise RunError.of("E0910", f"an order of {count} nodes has {len(order)} steps")
    executed = bytearray(count)
    timeline = Timeline([], [])
    memory = 0
    for step, node in enumerate(order):
        size, result = problem.sizes[node], problem.sizes[node]
        freed = 0
        for p in set(problem.preds[node]):
            if not executed[p]:
                raise RunError.of("E0910", f"step {step} runs node {node} before its input {p}")
            unread[p] -= 1
            if not unread[p] and not problem.retain[p]:
                freed += problem.sizes[p]
                if problem.inplace[node] and problem.sizes[p] == size:
                    result = 0
        if executed[node]:
            raise RunError.of("E0910", f"step {step} runs node {node} again")
        executed[node] = 1
        timeline.during.append(memory + result + problem.workspaces[node])
        memory += (size if unread[node] or problem.retain[node] else 0) - freed
        timeline.after.append(memory)
    return timeline


def check_peak(problem: Problem, order: Sequence[int], peak: int) -> Timeline:
    """The memory of every step of an order that is said to have a peak.

    Raises RunError (E0910) if it isn't an order, or hasn't that peak: a bug in what made it.
    """
    timeline = simulate(problem, order)
    if timeline.peak != peak:
        raise RunError.of(
            "E0910", f"an order said to need {peak} bytes needs {timeline.peak}", hint=REPORT
        )
    return timeline
