"""Lists that describe a graph -> Problem: checked, and numbered so that inputs come first.

The memory model. S is the set of executed nodes. A value is live while it is retained or while a
consumer of it has not run; mem(S) is the bytes of the live values. Running x on top of S takes

    during(x, S) = mem(S) + alloc(x, S) + workspace(x)

where alloc is the size of x, or 0 if x is `inplace` and one of the inputs that die in this step
has exactly its size. An input dies when it isn't retained and all its other consumers have run.
A value that nobody consumes and nobody retains is freed right after its own step. The peak of an
order is the largest `during` of its steps.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ...grammar.diagnostics import ResourceError

CYCLE = "E0510"
BYTES = "E0511"
UNKNOWN_NODE = "E0512"
FLAG = "E0513"
SHAPE = "E0514"
LIMIT = "E0515"

Label = Callable[[int], str]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Problem:
    """What to order: one entry a node in every list.

    sizes       bytes of the node's value
    workspaces  further bytes that it needs while it runs
    inplace     it may overwrite one dying input of equal size
    retain      its value lives to the end
    preds       the nodes whose values it reads; reading one twice is reading it once
    """

    sizes: Sequence[int]
    workspaces: Sequence[int]
    inplace: Sequence[bool]
    retain: Sequence[bool]
    preds: Sequence[Sequence[int]]

    def __len__(self) -> int:
        return len(self.sizes)

    def consumers(self) -> list[list[int]]:
        """The nodes that read each node's value, in ascending order."""
        found: list[list[int]] = [[] for _ in range(len(self))]
        for node, inputs in enumerate(self.preds):
            for p in inputs:
                found[p].append(node)
        return found

    def subset(self, nodes: Sequence[int]) -> Problem:
        """The problem on some nodes, numbered in the given order, without edges from outside."""
        local = {node: i for i, node in enumerate(nodes)}
        return Problem(
            [self.sizes[v] for v in nodes],
            [self.workspaces[v] for v in nodes],
            [self.inplace[v] for v in nodes],
            [self.retain[v] for v in nodes],
            [[local[p] for p in self.preds[v] if p in local] for v in nodes],
        )


def checked(problem: Problem, label: Label = str) -> Problem:
    """The same problem with plain integers and no input named twice.

    Raises ResourceError (E0511 to E0514) for what isn't a problem at all: bytes that are negative
    or not whole, flags that aren't flags, inputs that don't exist, lists of different lengths.
    `label` names a node in a message.
    """
    count = len(problem.sizes)
    lists = (problem.workspaces, problem.inplace, problem.retain, problem.preds)
    if any(len(entries) != count for entries in lists):
        raise ResourceError.of(
            SHAPE,
            "the lists of a scheduling problem have different lengths: "
            f"{count} sizes, " + ", ".join(str(len(entries)) for entries in lists) + " others",
            hint="give one size, workspace, inplace flag, retain flag and input list a node",
        )
    return Problem(
        _whole(problem.sizes, "size", label),
        _whole(problem.workspaces, "workspace", label),
        _flags(problem.inplace, "inplace", label),
        _flags(problem.retain, "retain", label),
        _inputs(problem.preds, count, label),
    )


def check_limit(max_states: int) -> int:
    """A limit of states as a plain integer; raises ResourceError (E0515) if it isn't one."""
    try:
        limit = -1 if isinstance(max_states, bool) else operator.index(max_states)
    except TypeError:
        limit = -1
    if limit < 0:
        raise ResourceError.of(
            LIMIT,
            f"max_states must be a whole number from 0 up, not {max_states!r}",
            hint="0 orders without searching; the default is 20000",
        )
    return limit


def inputs_first(problem: Problem, label: Label = str) -> list[int] | None:
    """A numbering in which every input precedes its consumers, or None if it is so already.

    Raises ResourceError (E0510) naming a cycle, if there is one.
    """
    preds = problem.preds
    if all(p < node for node, inputs in enumerate(preds) for p in inputs):
        return None
    waiting = [len(inputs) for inputs in preds]
    consumers = problem.consumers()
    order = [node for node, count in enumerate(waiting) if not count]
    for node in order:  # grows while it is read
        for c in consumers[node]:
            waiting[c] -= 1
            if not waiting[c]:
                order.append(c)
    if len(order) < len(preds):
        cycle = _cycle(preds, waiting)
        raise ResourceError.of(
            CYCLE,
            "the graph has a cycle: " + " -> ".join(label(node) for node in cycle),
            hint="a value can't depend on itself; remove one of these edges",
        )
    return order


def _cycle(preds: Sequence[Sequence[int]], waiting: Sequence[int]) -> list[int]:
    """A cycle among the nodes that never became ready, first node repeated at the end."""
    node = next(v for v, count in enumerate(waiting) if count)
    seen: dict[int, int] = {}
    walk: list[int] = []
    while node not in seen:
        seen[node] = len(walk)
        walk.append(node)
        node = next(p for p in preds[node] if waiting[p])
    return [node, *reversed(walk[seen[node] :])]


def _whole(amounts: Sequence[int], what: str, label: Label) -> Sequence[int]:
    if set(map(type, amounts)) <= {int} and min(amounts, default=0) >= 0:
        return amounts
    return _each(amounts, lambda amount, node: _bytes(amount, what, node), label)


def _bytes(amount: int, what: str, node: str) -> int:
    try:
        number = None if isinstance(amount, bool) else operator.index(amount)
    except TypeError:
        number = None
    if number is None or number < 0:
        reason = "is not a whole number" if number is None else "is negative"
        raise ResourceError.of(
            BYTES,
            f"the {what} of node {node} {reason}: {amount!r}",
            hint="sizes and workspaces are whole numbers of bytes, 0 or more",
        )
    return number


def _flags(flags: Sequence[bool], what: str, label: Label) -> Sequence[bool]:
    if set(map(type, flags)) <= {bool}:
        return flags
    return _each(flags, lambda flag, node: _flag(flag, what, node), label)


def _flag(flag: bool, what: str, node: str) -> bool:
    if isinstance(flag, int) and flag in (0, 1):
        return bool(flag)
    raise ResourceError.of(
        FLAG,
        f"{what} of node {node} is neither true nor false: {flag!r}",
        hint="leave it out, or give True or False",
    )


def _each(items: Iterable[Item], check: Callable[[Item, str], Item], label: Label) -> list[Item]:
    return [check(item, label(node)) for node, item in enumerate(items)]


def _inputs(preds: Sequence[Sequence[int]], count: int, label: Label) -> Sequence[Sequence[int]]:
    nodes = range(count)
    clean = True
    for node, inputs in enumerate(preds):
        for p in inputs:
            if type(p) is not int or p not in nodes:
                raise ResourceError.of(
                    UNKNOWN_NODE,
                    f"node {label(node)} reads node {p!r}, which doesn't exist",
                    hint=f"nodes are numbered from 0 to {count - 1}",
                )
        clean = clean and len(set(inputs)) == len(inputs)
    return preds if clean else [list(dict.fromkeys(inputs)) for inputs in preds]
