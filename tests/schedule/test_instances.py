"""Every stored instance is planned to its proved optimum."""

from __future__ import annotations

import json
from pathlib import Path

import networkx
import pytest
from mergec.compiler.scheduling.schedule import Problem, minimise_peak, order_problem
from mergec.compiler.scheduling.simulate import simulate

INSTANCES = sorted((Path(__file__).parent / "instances").glob("*.json"))


def load_graph(path: Path) -> tuple[networkx.DiGraph, int]:
    data = json.loads(path.read_text())
    assert data["format"] == "mergec-sched/1"
    graph = networkx.DiGraph()
    for node in data["nodes"]:
        graph.add_node(node["id"], **node)
    graph.add_edges_from(data["edges"])
    return graph, data["expected"]["min_peak"]


def as_problem(graph: networkx.DiGraph) -> Problem:
    rows = [graph.nodes[v] for v in range(len(graph))]
    lists = [[row[key] for row in rows] for key in ("size", "workspace", "inplace", "retain")]
    return Problem(*lists, preds=[sorted(graph.predecessors(v)) for v in range(len(graph))])


@pytest.mark.parametrize("path", INSTANCES, ids=lambda path: path.stem)
def test_optimum(path: Path) -> None:
    graph, optimum = load_graph(path)
    found = minimise_peak(graph)
    assert (found.peak, found.lower_bound, found.optimal) == (optimum, optimum, True)
    assert simulate(as_problem(graph), found.order).peak == optimum


@pytest.mark.parametrize("path", INSTANCES, ids=lambda path: path.stem)
@pytest.mark.parametrize("limit", [0, 2, 50])
def test_limits_stay_honest(path: Path, limit: int) -> None:
    graph, optimum = load_graph(path)
    found = minimise_peak(graph, max_states=limit)
    assert found.lower_bound <= optimum <= found.peak
    assert found.optimal == (found.lower_bound == found.peak)
    assert simulate(as_problem(graph), found.order).peak == found.peak


def test_graph_and_lists_agree() -> None:
    for path in INSTANCES:
        graph, _ = load_graph(path)
        assert order_problem(as_problem(graph)).peak == minimise_peak(graph).peak


def test_there_are_instances() -> None:
    assert len(INSTANCES) >= 50
