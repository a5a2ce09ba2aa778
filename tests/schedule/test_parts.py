"""The pieces of the scheduler, on examples small enough to check by hand."""

from __future__ import annotations

from random import Random

import networkx
import pytest
from mergec.compiler.scheduling.bounds import Reach, cut_bound, forced_needs, retained, step_bound
from mergec.compiler.scheduling.condensed import condense, expand
from mergec.compiler.scheduling.flow import FlowNetwork
from mergec.compiler.scheduling.liu import Stretch, merged
from mergec.compiler.scheduling.schedule import Problem, minimise_peak, order_problem
from mergec.compiler.scheduling.simulate import check_peak, simulate
from mergec.compiler.scheduling.twins import arrange
from mergec.grammar.diagnostics import RunError

from .families import FAMILIES, Builder
from .oracle import least_peak


def drawn() -> Problem:
    """The graph drawn in the scheduler's docstring: a, b, x, y, z."""
    sizes = [6, 3, 1, 2, 2]
    return Problem(sizes, [0] * 5, [False] * 5, [False] * 5, [[], [], [0], [1], [2, 3]])


@pytest.mark.parametrize(
    ("order", "during"),
    [
        ([0, 1, 2, 3, 4], [6, 9, 10, 6, 5]),
        ([1, 3, 0, 2, 4], [3, 5, 8, 9, 5]),
        ([0, 2, 1, 3, 4], [6, 7, 4, 6, 5]),
    ],
)
def test_the_drawn_example(order: list[int], during: list[int]) -> None:
    assert simulate(drawn(), order).during == during


def test_the_drawn_example_is_solved() -> None:
    found = order_problem(drawn())
    assert (found.order, found.peak, found.optimal) == ([0, 2, 1, 3, 4], 7, True)


def test_the_drawn_profiles_merge() -> None:
    left = [Stretch(10, 2, 1), Stretch(5, 4, 2)]
    profile = merged([left, [Stretch(9, 3, 3)]])
    assert [node for segment in profile for node in segment.nodes] == [1, 3, 2]
    assert profile[0].hill == 11
    assert profile[-1].valley == 7


def test_workspace_and_overwriting() -> None:
    graph = Builder()
    a = graph.add(4)
    b = graph.add(4, a, inplace=True, workspace=3)
    graph.add(8, b, inplace=True, retain=True)
    timeline = simulate(graph.problem(), [0, 1, 2])
    assert (timeline.during, timeline.after) == ([4, 7, 12], [4, 4, 8])


def test_a_wrong_peak_is_found_out() -> None:
    with pytest.raises(RunError, match="said to need 6 bytes needs 7"):
        check_peak(drawn(), [0, 2, 1, 3, 4], 6)


def test_a_retained_input_is_not_overwritten() -> None:
    problem = Problem([4, 4], [0, 0], [False, True], [True, False], [[], [0]])
    assert order_problem(problem).peak == 8


def test_components_that_stay_are_interleaved() -> None:
    """Each climbs to 10, falls to 1, then climbs by 7 to stay at 6: the hills go first."""
    graph = Builder()
    for _ in range(2):
        low = graph.add(1, graph.add(9))
        graph.add(6, low, retain=True)
    problem = graph.problem()
    found = order_problem(problem)
    assert (found.peak, found.optimal) == (least_peak(problem), True)
    assert found.peak < 16


def test_streamed_loads_tie_nothing_together() -> None:
    graph = Builder()
    base = graph.add(0)
    for _ in range(50):
        graph.add(0, graph.add(5, base, graph.add(0), workspace=2))
    found = order_problem(graph.problem())
    assert (found.peak, found.optimal) == (7, True)
    assert found.order[:2] == [0, 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_bounds_hold_and_cuts_are_the_strongest(family: str) -> None:
    for seed in range(60):
        problem = FAMILIES[family](Random(f"{family} bounds {seed}"), 9)
        if len(problem) > 12:
            continue
        core = condense(problem, problem.consumers())
        reach = Reach(core)
        optimum = least_peak(problem)
        forced = max(forced_needs(core, reach), default=0)
        cut = cut_bound(core, reach, optimum + 1)
        assert max(step_bound(core), forced, retained(core)) <= cut <= optimum


@pytest.mark.parametrize("family", FAMILIES)
def test_a_core_accounts_for_the_bytes_of_its_nodes(family: str) -> None:
    for seed in range(60):
        rng = Random(f"{family} core {seed}")
        problem = FAMILIES[family](rng, 16)
        core = condense(problem, problem.consumers())
        order = list(range(len(core)))
        nodes = [node for run in expand(problem, core, order) for node in run]
        loose = [v for v in range(len(problem)) if v not in set(nodes)]
        assert not loose
        assert simulate(problem, nodes).peak == core.peak(order)


def test_flow() -> None:
    rng = Random(1)
    for _ in range(50):
        graph = networkx.gnp_random_graph(8, 0.4, seed=rng.randrange(10**6), directed=True)
        network = FlowNetwork(8)
        for tail, head in graph.edges:
            graph.edges[tail, head]["capacity"] = capacity = rng.randint(1, 9)
            network.add(tail, head, capacity)
        assert network.max_flow(0, 7) == networkx.maximum_flow_value(graph, 0, 7)


def twin_recipes() -> Problem:
    """Two recipes over fourteen deltas of one base."""
    graph = Builder()
    base = graph.add(2)
    deltas = [graph.add(4, graph.add(2), base) for _ in range(14)]
    for _ in range(2):
        graph.add(0, graph.add(4, *deltas, workspace=4))
    return graph.problem()


def test_look_alike_branches_are_twins() -> None:
    problem = twin_recipes()
    _, groups = arrange(condense(problem, problem.consumers()))
    assert sorted(len(group.starts) for group in groups) == [2, 14]


def test_twins_need_few_states() -> None:
    found = order_problem(twin_recipes(), 500)
    assert (found.peak, found.optimal) == (14 * 4 + 4 + 4, True)


def test_twins_of_several_moves_with_inner_twins() -> None:
    graph = Builder()
    base = graph.add(3)
    tips = []
    for _ in range(4):
        pair = [graph.add(2, base, workspace=1) for _ in range(2)]
        tips.append(graph.add(1, *pair, base))
    graph.add(1, *tips, base)
    graph.add(1, *tips)
    problem = graph.problem()
    _, groups = arrange(condense(problem, problem.consumers()))
    assert max((len(group.starts), group.width) for group in groups) == (4, 3)
    assert order_problem(problem).peak == least_peak(problem)


def test_networkx_graph_of_names() -> None:
    graph = networkx.DiGraph()
    for name, size in {"z": 2, "x": 1, "a": 6, "y": 2, "b": 3}.items():
        graph.add_node(name, size=size)
    graph.add_edges_from([("a", "x"), ("b", "y"), ("x", "z"), ("y", "z")])
    found = minimise_peak(graph)
    assert (found.order, found.peak) == (["a", "x", "b", "y", "z"], 7)
