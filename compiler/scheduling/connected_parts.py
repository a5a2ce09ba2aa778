"""Problem -> components that share no bytes, and one plan for all components that are alike.

A node without bytes, workspace and inputs (a load that its readers stream) ties nothing together:
such free nodes are cut out first, and run right before their first consumer. Components are alike
if they have the same shape and their bytes are equal up to a common factor: divided by the
greatest common divisor of their bytes they are the same problem, with the same plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from .component_order import ComponentOrder, plan
from .problem import Problem


def free_nodes(problem: Problem) -> bytearray:
    """1 for each node that holds nothing and waits for nothing."""
    return bytearray(
        not (size or workspace or inputs)
        for size, workspace, inputs in zip(
            problem.sizes, problem.workspaces, problem.preds, strict=True
        )
    )


def components(problem: Problem, free: bytearray) -> list[list[int]]:
    """The nodes of each component in ascending order, components by their first node."""
    root = list(range(len(problem)))
    for node, inputs in enumerate(problem.preds):
        top = node
        for p in inputs:
            if free[p]:
                continue
            while root[p] != p:  # halve the path on the way up
                root[p] = p = root[root[p]]
            if p < top:
                root[top] = top = p
            elif top < p:
                root[p] = top
    parts: dict[int, list[int]] = {}
    for node in range(len(problem)):
        if free[node]:
            continue
        top = root[node]
        if top != node:  # roots have the smallest number, so the root above is final
            root[node] = top = root[top]
        if top == node:
            parts[node] = [node]
        else:
            parts[top].append(node)
    return list(parts.values())


class Planner:
    """Plans components, each kind of component once."""

    def __init__(self, problem: Problem, free: bytearray, max_states: int) -> None:
        self.problem = problem
        self.free = free
        self.max_states = max_states
        self.known: dict[object, ComponentOrder] = {}
        self.local = [0] * len(problem)

    def plan(self, nodes: Sequence[int]) -> tuple[ComponentOrder, int]:
        """The plan of a component in its own numbers, and the factor for its bytes."""
        problem, free, local = self.problem, self.free, self.local
        sizes = [problem.sizes[v] for v in nodes]
        workspaces = [problem.workspaces[v] for v in nodes]
        unit = gcd(*sizes, *workspaces) or 1
        if unit > 1:
            sizes = [size // unit for size in sizes]
            workspaces = [workspace // unit for workspace in workspaces]
        for i, v in enumerate(nodes):
            local[v] = i
        preds = [[local[p] for p in problem.preds[v] if not free[p]] for v in nodes]
        inplace = [problem.inplace[v] for v in nodes]
        retain = [problem.retain[v] for v in nodes]
        key = (tuple(sizes), tuple(workspaces), tuple(inplace), tuple(retain), *map(tuple, preds))
        found = self.known.get(key)
        if found is None:
            found = plan(Problem(sizes, workspaces, inplace, retain, preds), self.max_states)
            self.known[key] = found
        return found, unit
