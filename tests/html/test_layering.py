"""Places of boxes: layers, shared lanes, no overlap, as near as can be to what they belong to."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mergec.views.page.layering import GAP, place, spread


def test_a_box_stands_behind_all_that_it_comes_from() -> None:
    edges = [(0, 2), (1, 2), (2, 3), (1, 4), (3, 4)]
    placed = place([40.0] * 5, edges)
    assert placed.layer == (0, 0, 1, 2, 3)
    assert [len(lanes) for lanes in placed.lanes] == [0, 2, 0, 0, 0]


def test_what_nothing_comes_into_stands_just_before_its_first_user() -> None:
    placed = place([40.0] * 4, [(0, 2), (2, 3), (1, 3)])
    assert placed.layer == (0, 1, 1, 2)
    assert placed.lanes == ((), (), (), ())


def test_inputs_of_one_box_keep_their_order_and_surround_it() -> None:
    placed = place([40.0] * 4, [(0, 3), (1, 3), (2, 3)])
    assert list(placed.centre[:3]) == sorted(placed.centre[:3])
    assert placed.centre[3] == pytest.approx(placed.centre[1])
    assert placed.extent == pytest.approx(3 * 40 + 2 * GAP)


def test_nothing_to_place() -> None:
    assert place([], []).extent == 0


@given(st.data())
def test_boxes_of_a_layer_never_overlap(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 14))
    pairs = list(itertools.combinations(range(count), 2))
    edges = data.draw(st.lists(st.sampled_from(pairs), max_size=30)) if pairs else []
    sizes = data.draw(st.lists(st.floats(10, 90), min_size=count, max_size=count))
    placed = place(sizes, edges)
    assert all(placed.layer[a] < placed.layer[b] for a, b in edges)
    for first, second in itertools.combinations(range(count), 2):
        if placed.layer[first] == placed.layer[second]:
            apart = abs(placed.centre[first] - placed.centre[second])
            assert apart >= (sizes[first] + sizes[second]) / 2 + GAP - 1e-6
    for box, size in enumerate(sizes):
        assert placed.centre[box] - size / 2 >= -1e-6
        assert placed.centre[box] + size / 2 <= placed.extent + 1e-6


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=6), st.data())
def test_spread_is_nearest(wanted: list[float], data: st.DataObject) -> None:
    count = len(wanted)
    gaps = data.draw(st.lists(st.floats(1, 30), min_size=count - 1, max_size=count - 1))
    found = spread(wanted, gaps)
    assert all(b - a >= gap - 1e-9 for a, b, gap in zip(found, found[1:], gaps, strict=False))

    def cost(places: list[float]) -> float:
        return sum((a - b) ** 2 for a, b in zip(places, wanted, strict=True))

    # moving any run of neighbours a little either breaks a gap or costs more
    for first, stop in itertools.combinations(range(count + 1), 2):
        for step in (-0.01, 0.01):
            moved = [p + step * (first <= i < stop) for i, p in enumerate(found)]
            kept = all(
                b - a >= gap - 1e-12 for a, b, gap in zip(moved, moved[1:], gaps, strict=False)
            )
            assert not kept or cost(moved) >= cost(found) - 1e-9
