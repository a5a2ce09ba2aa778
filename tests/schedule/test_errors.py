"""Bad input gets a code and the reason."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import networkx
import pytest
from mergec.compiler.scheduling.schedule import Problem, minimise_peak, order_problem
from mergec.compiler.scheduling.simulate import simulate
from mergec.grammar.diagnostics import MergecError


def graph_of(*edges: tuple[str, str], **attributes: Any) -> networkx.DiGraph:
    graph = networkx.DiGraph(edges)
    graph.add_node("a", **attributes)
    return graph


def code_and_text(error: pytest.ExceptionInfo[MergecError]) -> tuple[str, str]:
    return error.value.diagnostics[0].code, str(error.value)


@pytest.mark.parametrize("edges", [[("a", "b"), ("b", "c"), ("c", "a")], [("a", "a")]])
def test_cycles(edges: list[tuple[str, str]]) -> None:
    with pytest.raises(MergecError) as error:
        minimise_peak(graph_of(*edges))
    code, text = code_and_text(error)
    assert code == "E0510"
    assert "'a' -> " in text


def test_a_cycle_is_named_along_its_edges() -> None:
    graph = graph_of(("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"))
    with pytest.raises(MergecError, match=r"'b' -> 'c' -> 'b'|'c' -> 'b' -> 'c'"):
        minimise_peak(graph)


@pytest.mark.parametrize("attribute", ["size", "workspace"])
@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (-1, "negative"),
        (1.0, "whole"),
        (float("nan"), "whole"),
        ("8", "whole"),
        (None, "whole"),
        (True, "whole"),
    ],
)
def test_bytes(attribute: str, amount: Any, reason: str) -> None:
    with pytest.raises(MergecError) as error:
        minimise_peak(graph_of(("a", "b"), **{attribute: amount}))
    code, text = code_and_text(error)
    assert code == "E0511"
    assert attribute in text
    assert "'a'" in text
    assert reason in text


@pytest.mark.parametrize("flag", ["yes", 2, None, 1.5])
def test_flags(flag: Any) -> None:
    with pytest.raises(MergecError) as error:
        minimise_peak(graph_of(("a", "b"), inplace=flag))
    assert code_and_text(error)[0] == "E0513"


@pytest.mark.parametrize("missing", [-1, 2, "x", 0.0])
def test_unknown_nodes(missing: Any) -> None:
    with pytest.raises(MergecError) as error:
        order_problem(Problem([1, 1], [0, 0], [False] * 2, [False] * 2, [[], [missing]]))
    assert code_and_text(error)[0] == "E0512"


def test_lists_of_different_lengths() -> None:
    with pytest.raises(MergecError) as error:
        order_problem(Problem([1, 1], [0], [False] * 2, [False] * 2, [[], []]))
    assert code_and_text(error)[0] == "E0514"


@pytest.mark.parametrize("graph", [networkx.Graph(), [1, 2], None])
def test_not_a_directed_graph(graph: Any) -> None:
    with pytest.raises(MergecError) as error:
        minimise_peak(graph)
    assert code_and_text(error)[0] == "E0514"


@pytest.mark.parametrize("limit", [-1, 1.5, "many", None, True])
def test_limits(limit: Any) -> None:
    with pytest.raises(MergecError) as error:
        minimise_peak(graph_of(("a", "b")), max_states=limit)
    assert code_and_text(error)[0] == "E0515"


def test_nothing_to_order() -> None:
    found = minimise_peak(networkx.DiGraph())
    assert (found.order, found.peak, found.lower_bound, found.optimal) == ([], 0, 0, True)


def test_attributes_are_optional_and_names_are_anything() -> None:
    graph = networkx.DiGraph([(("load", 1), "merge"), (frozenset({2}), "merge")])
    found = minimise_peak(graph)
    assert set(found.order) == set(graph)
    assert found.order[-1] == "merge"
    assert (found.peak, found.optimal) == (0, True)


def test_reading_a_value_twice_is_reading_it_once() -> None:
    problem = Problem([4, 4], [0, 0], [False, True], [False, False], [[], [0, 0]])
    found = order_problem(problem)
    assert (found.order, found.peak, found.optimal) == ([0, 1], 4, True)


@pytest.mark.parametrize("order", [[1, 0], [0], [0, 0], [0, 1, 1]])
def test_the_simulator_refuses_what_is_no_order(order: list[int]) -> None:
    problem = Problem([1, 1], [0, 0], [False] * 2, [False] * 2, [[], [0]])
    with pytest.raises(MergecError):
        simulate(problem, order)


def test_networkx_is_not_loaded() -> None:
    program = "import sys, mergec.compiler.scheduling.schedule; sys.exit('networkx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
