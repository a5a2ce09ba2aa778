"""A random source -> problems of the shapes that schedulers meet, and those that mislead them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from mergec.compiler.scheduling.schedule import Problem


class Builder:
    """Adds nodes one by one; `add` returns the number of the new one."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, bool, bool, list[int]]] = []

    def add(
        self,
        size: int,
        *inputs: int,
        workspace: int = 0,
        inplace: bool = False,
        retain: bool = False,
    ) -> int:
        self.rows.append((size, workspace, inplace, retain, list(dict.fromkeys(inputs))))
        return len(self.rows) - 1

    def problem(self) -> Problem:
        if not self.rows:
            return Problem([], [], [], [], [])
        return Problem(*map(list, zip(*self.rows, strict=True)))


def anything(rng: Random, count: int) -> Problem:
    """Any graph at all: sizes with zeros and repeats, workspaces, all flags."""
    graph = Builder()
    density = rng.choice([0.1, 0.25, 0.5])
    largest = rng.choice([1, 3, 12])
    for node in range(count):
        graph.add(
            rng.randint(0, largest),
            *[p for p in range(node) if rng.random() < density],
            workspace=rng.choice([0, 0, rng.randint(0, largest)]),
            inplace=rng.random() < 0.4,
            retain=rng.random() < rng.choice([0, 0.2]),
        )
    return graph.problem()


def tree(rng: Random, count: int) -> Problem:
    """Every value has one consumer."""
    graph = Builder()
    roots: list[int] = []
    for node in range(count):
        rng.shuffle(roots)
        arity = rng.choice([0, 0, 1, 2, 3]) if node < count - 1 else len(roots)
        inputs, roots = roots[:arity], roots[arity:]
        size = rng.randint(1, 16)
        workspace = rng.choice([0, 0, 5])
        roots.append(graph.add(size, *inputs, workspace=workspace, inplace=rng.random() < 0.3))
    return graph.problem()


def tower(rng: Random, count: int) -> Problem:
    """Merges of merges of loads, left-deep or balanced, cast now and then."""
    graph = Builder()
    size = rng.choice([16, 32])
    stages = [graph.add(rng.choice([0, size])) for _ in range(max(2, count // 2))]
    left_deep = rng.random() < 0.5
    while len(stages) > 1:
        a = stages.pop(0)
        b = stages.pop(0)
        inplace = rng.random() < 0.3
        merged = graph.add(size, a, b, inplace=inplace, workspace=rng.choice([0, size]))
        if rng.random() < 0.2:
            merged = graph.add(size // 2, merged)
        stages.insert(0 if left_deep else len(stages), merged)
    graph.add(0, stages[0])
    return graph.problem()


def series_parallel(rng: Random, count: int) -> Problem:
    """A fork and join, each of its edges replaced by a fork and join, and so on."""
    edges = [(0, 1)]
    nodes = 2
    while nodes < count:
        at = rng.randrange(len(edges))
        tail, head = edges[at]
        if rng.random() < 0.45:
            edges[at : at + 1] = [(tail, nodes), (nodes, head)]
        else:
            edges += [(tail, nodes), (nodes, head)]
        nodes += 1
    return _numbered(rng, nodes, edges)


def layered(rng: Random, count: int) -> Problem:
    """Layers of nodes that each read some of the layers before."""
    width = rng.randint(3, 6)
    edges = []
    for node in range(width, count):
        first = (node // width - 1) * width
        near = range(max(0, first), min(first + width, node))
        edges += [(p, node) for p in rng.sample(near, min(len(near), rng.randint(1, 3)))]
        if rng.random() < 0.2:
            edges.append((rng.randrange(max(1, first)), node))
    return _numbered(rng, count, sorted(set(edges)))


def shared(rng: Random, count: int) -> Problem:
    """Loads that several recipes read in different choices, each written to its own file."""
    graph = Builder()
    writes = max(2, count // 5)
    loads = [graph.add(rng.choice([1, 2, 4, 8])) for _ in range(max(2, count - 2 * writes))]
    for _ in range(writes):
        inputs = rng.sample(loads, rng.randint(1, min(4, len(loads))))
        made = graph.add(
            rng.choice([2, 4, 8]),
            *inputs,
            workspace=rng.choice([0, 0, 4]),
            inplace=rng.random() < 0.5,
        )
        graph.add(0, made)
    return graph.problem()


def adversarial(rng: Random, count: int) -> Problem:
    """Long branches with high hills and low valleys: the best order leaves them and returns.

    Greedy takes the small steps first and is left with the hills; depth first never returns.
    """
    graph = Builder()
    branches = rng.randint(2, 4)
    tips: list[int] = []
    length = max(2, (count - 1) // branches)
    root = graph.add(1) if rng.random() < 0.5 else None
    for _ in range(branches):
        tip = root
        high = rng.randint(10, 20)
        for i in range(length):
            size = high - 2 * (i // 2) if i % 2 == 0 else rng.randint(1, 2) + i // 2
            tip = graph.add(max(1, size), *([] if tip is None else [tip]))
        if tip is not None:
            tips.append(tip)
    graph.add(1, *tips)
    return graph.problem()


def hierarchical(rng: Random, models: int) -> Problem:
    """A recipe over many models: stages merge stages, some used again later, several outputs."""
    graph = Builder()
    unit = 16
    pool = [graph.add(rng.choice([0, unit, 2 * unit])) for _ in range(models)]
    base = graph.add(rng.choice([0, unit]))
    fresh = list(pool)
    reusable: list[int] = []
    rng.shuffle(fresh)
    outputs = rng.randint(2, 4)
    while len(fresh) > outputs:
        inputs = [fresh.pop(0) for _ in range(min(rng.randint(2, 3), len(fresh)))]
        if reusable and rng.random() < 0.35:
            inputs.append(rng.choice(reusable[-6:]))
        if rng.random() < 0.3:
            inputs.append(base)
        stage = graph.add(
            rng.choice([unit, 2 * unit]),
            *inputs,
            workspace=rng.choice([0, 0, unit]),
            inplace=rng.random() < 0.5,
        )
        reusable.append(stage)
        fresh.insert(rng.randint(0, len(fresh)), stage)
    for stage in fresh:
        graph.add(0, stage)
    return graph.problem()


def twin_blocks(rng: Random, count: int) -> Problem:
    """The same little graph many times over, between shared inputs and shared consumers."""
    graph = Builder()
    bases = [graph.add(rng.randint(1, 4)) for _ in range(rng.randint(0, 2))]
    sizes = [rng.randint(1, 6) for _ in range(4)]
    flags = [rng.random() < 0.3 for _ in range(4)]
    shape = rng.randrange(3)
    tips = []
    for _ in range(max(2, (count - 4) // 3)):
        a = graph.add(sizes[0], workspace=rng.choice([0, 0, 0, 1]))
        b = graph.add(sizes[1], a, *bases, inplace=flags[1])
        if shape:
            b = graph.add(sizes[2], a, b, inplace=flags[2], retain=flags[3] and shape == 2)
        tips.append(b)
    for _ in range(rng.randint(1, 2)):
        graph.add(rng.randint(0, 6), *tips, inplace=flags[0])
    return graph.problem()


def _numbered(rng: Random, count: int, edges: list[tuple[int, int]]) -> Problem:
    """Random bytes and flags on given edges, nodes renumbered inputs first."""
    inputs: list[list[int]] = [[] for _ in range(count)]
    for tail, head in edges:
        inputs[head].append(tail)
    number: dict[int, int] = {}
    graph = Builder()
    while len(number) < count:
        ready = [v for v in range(count) if v not in number and all(p in number for p in inputs[v])]
        node = rng.choice(ready)
        number[node] = graph.add(
            rng.randint(1, 12),
            *[number[p] for p in inputs[node]],
            workspace=rng.choice([0, 0, rng.randint(1, 6)]),
            inplace=rng.random() < 0.3,
        )
    return graph.problem()


FAMILIES: dict[str, Callable[[Random, int], Problem]] = {
    "anything": anything,
    "tree": tree,
    "tower": tower,
    "series-parallel": series_parallel,
    "layered": layered,
    "shared": shared,
    "adversarial": adversarial,
    "hierarchical": hierarchical,
    "twins": twin_blocks,
}
