"""Random problems against brute force, at full search and at limits too small to finish."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mergec.compiler.scheduling.schedule import Problem, order_problem
from mergec.compiler.scheduling.simulate import simulate

from .families import FAMILIES, Builder
from .oracle import least_peak

LIMITS = (20_000, 0, 2, 50)


def check(problem: Problem, optimum: int) -> None:
    for limit in LIMITS:
        found = order_problem(problem, limit)
        assert simulate(problem, found.order).peak == found.peak
        assert found.lower_bound <= optimum <= found.peak
        assert found.optimal == (found.lower_bound == found.peak)
        assert found.optimal or limit < 20_000


@pytest.mark.parametrize("family", FAMILIES)
def test_small_problems(family: str) -> None:
    for seed in range(250):
        rng = Random(f"{family} {seed}")
        problem = FAMILIES[family](rng, rng.randint(5, 10))
        if len(problem) <= 12:
            check(problem, least_peak(problem))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_many_small_problems(family: str) -> None:
    for seed in range(1000):
        rng = Random(f"{family} many {seed}")
        problem = FAMILIES[family](rng, rng.randint(6, 12))
        if len(problem) <= 13:
            check(problem, least_peak(problem))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_middling_problems(family: str) -> None:
    for seed in range(15):
        rng = Random(f"{family} middling {seed}")
        problem = FAMILIES[family](rng, rng.randint(14, 18))
        if len(problem) <= 20:
            check(problem, least_peak(problem))


@pytest.mark.parametrize("family", FAMILIES)
def test_proved_up_to_thirty_nodes(family: str) -> None:
    for seed in range(20):
        rng = Random(f"{family} large {seed}")
        problem = FAMILIES[family](rng, rng.randint(22, 30))
        found = order_problem(problem)
        assert found.optimal
        assert simulate(problem, found.order).peak == found.peak


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    graph = Builder()
    for node in range(draw(st.integers(0, 8))):
        inputs = draw(st.sets(st.integers(0, node - 1))) if node else set()
        size, workspace = draw(st.integers(0, 4)), draw(st.integers(0, 2))
        inplace, retain = draw(st.booleans()), draw(st.booleans())
        graph.add(size, *sorted(inputs), workspace=workspace, inplace=inplace, retain=retain)
    return graph.problem()


@settings(max_examples=300, deadline=None)
@given(problems())
def test_any_problem(problem: Problem) -> None:
    check(problem, least_peak(problem))


@settings(max_examples=100, deadline=None)
@given(problems(), st.integers(1, 10**12))
def test_bytes_scale(problem: Problem, factor: int) -> None:
    scaled = Problem(
        [size * factor for size in problem.sizes],
        [workspace * factor for workspace in problem.workspaces],
        problem.inplace,
        problem.retain,
        problem.preds,
    )
    small, large = order_problem(problem), order_problem(scaled)
    assert large.order == small.order
    assert (large.peak, large.lower_bound) == (small.peak * factor, small.lower_bound * factor)


@settings(max_examples=100, deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_numbering_is_free(problem: Problem, rng: Random) -> None:
    """Nodes may come in any order; the peak doesn't change."""
    names = list(range(len(problem)))
    rng.shuffle(names)
    place = {v: i for i, v in enumerate(names)}
    shuffled = Problem(
        [problem.sizes[v] for v in names],
        [problem.workspaces[v] for v in names],
        [problem.inplace[v] for v in names],
        [problem.retain[v] for v in names],
        [[place[p] for p in problem.preds[v]] for v in names],
    )
    found = order_problem(shuffled)
    assert found.peak == order_problem(problem).peak
    assert simulate(shuffled, found.order).peak == found.peak


def test_the_same_plan_every_time() -> None:
    for family, make in FAMILIES.items():
        problem = make(Random(f"{family} again"), 24)
        assert order_problem(problem) == order_problem(problem)
