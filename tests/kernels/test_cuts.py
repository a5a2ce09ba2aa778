"""The search for a cut, against a sort: whatever a sample says, and however bins fall."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mergec.compiler.kernels.arguments import KEEP, MOST_GUESSES, OFF
from mergec.runtime.cuts import ALL_EQUALS, NOTHING, Query, Search

BITS = 31
Patterns = np.ndarray


def _bins(patterns: Patterns, query: Query, bin_bits: int) -> list[int] | Patterns:
    if query.shift in (OFF, KEEP):
        return ()  # type: ignore[return-value]
    bottom = query.top + 1 - (1 << bin_bits + query.shift)
    place = (patterns - bottom) >> query.shift
    return np.bincount(place[(place >= 0) & (place < 1 << bin_bits)], minlength=1 << bin_bits)


def _counts(patterns: Patterns, query: Query) -> list[tuple[int, int]]:
    assert len(query.guesses) <= MOST_GUESSES
    return [(int((patterns > g).sum()), int((patterns == g).sum())) for g in query.guesses]


def _inside(patterns: Patterns, query: Query, full: bool) -> Patterns | None:
    """What a walk keeps; full: there is no room for it."""
    if query.shift != KEEP or full:
        return None
    inside = patterns[(patterns >= query.low) & (patterns <= query.top)]
    return (inside - query.low).astype(np.uint32)


def _found(
    patterns: Patterns,
    wanted: int,
    bin_bits: int,
    sample: Patterns | None,
    ranked: bool,
    keeps: bool = True,
    full: int = 0,
) -> tuple[int, int, int]:
    """(cut, index up to which equals are kept, walks over the data).

    full: in so many walks there is no room for what is to be kept.
    """
    search = Search(len(patterns), BITS, bin_bits, ranked, keeps)
    search.want(wanted)
    if sample is not None and search.is_blank:
        view = search.sample(len(sample))
        for _ in range(3):
            query = view.query()
            view.counted(query, _bins(sample, query, bin_bits))
        search.ask(view)
    walks = 0
    while not search.settled:
        query = search.query()
        kept, inside = _inside(patterns, query, walks < full), 0
        if query.shift == KEEP:
            inside = int(((patterns >= query.low) & (patterns <= query.top)).sum())
        bins, counts = _bins(patterns, query, bin_bits), _counts(patterns, query)
        search.counted(query, bins, counts, kept, inside)
        walks += 1
        assert walks < 40
        if search.unranked:
            assert query.shift == KEEP or search.cut in query.guesses
            search.settle(int(np.flatnonzero(patterns == search.cut)[search.unranked - 1]))
    assert search.cut is not None and search.until is not None
    return search.cut, search.until, walks


def _kept(patterns: Patterns, cut: int, until: int) -> list[int]:
    index = np.arange(len(patterns))
    if cut == NOTHING:
        return []
    kept = (patterns > cut) | ((patterns == cut) & (index < until))
    return np.flatnonzero(kept).tolist()  # type: ignore[no-any-return]


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Patterns, Patterns | None]:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(1, 400))
    values = draw(st.sampled_from([1, 3, 40, 1 << BITS]))
    spread = np.unique(random.integers(0, 1 << draw(st.integers(2, BITS)), values & 0xFFF or 999))
    patterns = random.choice(spread, size)
    fair = draw(st.sampled_from(["none", "fair", "wrong"]))
    if fair == "none":
        return patterns, None
    source = patterns if fair == "fair" else random.integers(0, 1 << BITS, 50)
    return patterns, random.choice(source, draw(st.integers(1, 200)))


@settings(max_examples=400, deadline=None)
@given(
    _cases(), st.floats(0, 1), st.sampled_from([3, 12, 16]), st.booleans(), st.sampled_from([0, 9])
)
def test_a_search_ends_at_the_stable_sorts_cut(
    case: tuple[Patterns, Patterns | None], share: float, bin_bits: int, keeps: bool, full: int
) -> None:
    patterns, sample = case
    wanted = round(share * len(patterns))
    cut, until, walks = _found(patterns, wanted, bin_bits, sample, True, keeps, full)
    if keeps:
        assert walks <= 3 + -(-BITS // bin_bits)
    order = np.argsort(-patterns, kind="stable")[:wanted]
    assert _kept(patterns, cut, until) == sorted(order.tolist())
    unranked, whole, _ = _found(patterns, wanted, bin_bits, sample, False, keeps, full)
    assert unranked == cut and whole == ALL_EQUALS


@pytest.mark.parametrize("density", [0.2, 0.5, 0.9])
def test_a_good_sample_of_few_magnitudes_makes_one_walk_enough(density: float) -> None:
    random = np.random.default_rng(1)
    magnitudes = np.abs(random.standard_normal(400_000) * 4).round().astype(np.float32)
    patterns = magnitudes.view(np.uint32).astype(np.int64)
    sample = patterns[:: len(patterns) // 16_384]
    _, _, walks = _found(patterns, int(density * len(patterns)), 12, sample, ranked=True)
    assert walks == 1


@pytest.mark.parametrize("density", [0.01, 0.5, 0.9])
def test_a_good_sample_makes_one_walk_enough_or_two_where_nothing_is_kept(density: float) -> None:
    random = np.random.default_rng(2)
    magnitudes = np.abs(random.standard_normal(400_000)).astype(np.float32)
    patterns = magnitudes.view(np.uint32).astype(np.int64)
    sample = patterns[:: len(patterns) // 16_384]
    wanted = int(density * len(patterns))
    assert _found(patterns, wanted, 12, sample, ranked=True)[2] == 1
    assert _found(patterns, wanted, 12, sample, ranked=False, keeps=False)[2] == 2
