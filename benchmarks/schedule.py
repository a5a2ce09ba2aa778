"""Stored instances and random graphs -> a table of what orders cost, by family.

    python benchmarks/schedule.py [--instances FOLDER] [--graphs N] [--nodes N]

For each family: the mean optimum, and how far above it (mean and largest) are mergec's order,
networkx's topological order and the plain depth-first order. Then the time for 300,000 nodes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from types import ModuleType

import networkx
from mergec.compiler.scheduling.schedule import Problem, order_problem
from mergec.compiler.scheduling.simulate import simulate

TESTS = Path(__file__).resolve().parent.parent / "tests" / "schedule"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--instances", type=Path, default=TESTS / "instances")
    parser.add_argument("--graphs", type=int, default=40, help="random graphs a family")
    parser.add_argument("--nodes", type=int, default=26, help="nodes of a random graph, at most")
    options = parser.parse_args()
    print_table("stored instances", stored(options.instances))
    print_table("random graphs", generated(options.graphs, options.nodes))
    print_large()


def stored(folder: Path) -> Iterator[tuple[str, Problem, int | None]]:
    """Family, problem and proved optimum of each instance."""
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text())
        preds: list[list[int]] = [[] for _ in data["nodes"]]
        for producer, consumer in data["edges"]:
            preds[consumer].append(producer)
        sizes, workspaces, inplace, retain = (
            [node[key] for node in data["nodes"]]
            for key in ("size", "workspace", "inplace", "retain")
        )
        problem = Problem(sizes, workspaces, inplace, retain, preds)
        yield data["family"], problem, data["expected"]["min_peak"]


def generated(graphs: int, nodes: int) -> Iterator[tuple[str, Problem, None]]:
    """Family and problem of random graphs; the search has to prove the optimum."""
    for family, make in families().FAMILIES.items():
        for seed in range(graphs):
            rng = Random(f"{family} {seed}")
            yield family, make(rng, rng.randint(nodes // 2, nodes)), None


def families() -> ModuleType:
    """The generators that the tests use."""
    spec = importlib.util.spec_from_file_location("families", TESTS / "families.py")
    if spec is None or spec.loader is None:
        sys.exit(f"no generators in {TESTS}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def networkx_order(problem: Problem) -> list[int]:
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(problem)))
    graph.add_edges_from((p, v) for v, inputs in enumerate(problem.preds) for p in inputs)
    return list(networkx.topological_sort(graph))


def depth_first_order(problem: Problem) -> list[int]:
    """Inputs by number, each right after its own inputs."""
    order: list[int] = []
    seen: set[int] = set()
    read = {p for inputs in problem.preds for p in inputs}
    stack = [(v, False) for v in reversed(range(len(problem))) if v not in read]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(p, False) for p in sorted(problem.preds[node], reverse=True)]
    return order


def print_table(title: str, problems: Iterator[tuple[str, Problem, int | None]]) -> None:
    ratios: dict[str, list[list[float]]] = defaultdict(list)
    optima: dict[str, list[int]] = defaultdict(list)
    proved: dict[str, int] = defaultdict(int)
    slowest: dict[str, float] = defaultdict(float)
    for family, problem, known in problems:
        start = time.perf_counter()
        found = order_problem(problem)
        slowest[family] = max(slowest[family], time.perf_counter() - start)
        proved[family] += found.optimal
        optimum = known if known is not None else found.lower_bound
        orders = (found.order, networkx_order(problem), depth_first_order(problem))
        optima[family].append(optimum)
        ratios[family].append([simulate(problem, o).peak / max(1, optimum) for o in orders])
    print(f"\n{title}: peak over the optimum, mean (max)")
    print(
        f"{'family':16} {'graphs':>6} {'proved':>6} {'optimum':>8} {'mergec':>13} "
        f"{'networkx':>13} {'depth first':>13} {'slowest':>10}"
    )
    for family, rows in ratios.items():
        columns = " ".join(f"{spread(column):>13}" for column in zip(*rows, strict=True))
        mean = sum(optima[family]) / len(rows)
        print(
            f"{family:16} {len(rows):6} {proved[family]:6} {mean:8.1f} {columns} "
            f"{slowest[family] * 1e3:7.1f} ms"
        )


def spread(ratios: Sequence[float]) -> str:
    return f"{sum(ratios) / len(ratios):.2f} ({max(ratios):.2f})"


def print_large() -> None:
    """6000 components of 50 nodes: fifteen deltas of one base, merged in stages, written."""
    graph = families().Builder()
    for tensor in range(6000):
        size = 4096 * (1 + tensor % 10)
        base, *loads = [graph.add(size) for _ in range(16)]
        deltas = [graph.add(2 * size, load, base) for load in loads]
        stage = graph.add(2 * size, *deltas, workspace=size)
        for _ in range(17):
            stage = graph.add(2 * size, stage, inplace=True)
        graph.add(0, stage)
    problem = graph.problem()
    start = time.perf_counter()
    found = order_problem(problem)
    seconds = time.perf_counter() - start
    peaks = [simulate(problem, o).peak for o in (networkx_order(problem), range(len(problem)))]
    print(f"\n{len(problem)} nodes ordered in {seconds:.2f} s, proved: {found.optimal}")
    print(
        f"peak {found.peak / 2**20:.1f} MiB; in order of creation {peaks[1] / 2**20:.1f} MiB; "
        f"in networkx's topological order {peaks[0] / 2**20:.1f} MiB"
    )


if __name__ == "__main__":
    main()
