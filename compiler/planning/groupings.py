"""Units -> sweeps of units: ordered for the least peak, and joined into few sweeps.

Here a value's size is what a unit keeps in memory. The scheduler finds the order of units with the
least peak; sweeps join units, and hold at once what each of their units holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from ..scheduling.schedule import Problem, order_problem
from ..scheduling.simulate import check_peak
from ..sweeps.sweeps import earliest
from ..sweeps.work_units import Unit


class GroupedUnits(NamedTuple):
    """Units by number, a tuple a sweep. peak: most bytes held; lower_bound: of any order."""

    sweeps: tuple[tuple[int, ...], ...]
    peak: int
    lower_bound: int


def group_units(
    found: Sequence[Unit], sizes: dict[int, int], scratch: Sequence[int]
) -> Iterator[GroupedUnits]:
    """The fewest sweeps; and, if that needs more memory than must be, sweeps of the least peak.

    sizes: bytes of each value that a unit keeps; scratch: further bytes of each unit.
    """
    problem = _problem(found, sizes, scratch)
    schedule = order_problem(problem)
    check_peak(problem, schedule.order, schedule.peak)
    joined = earliest(found)
    peak = grouping_peak(found, joined, sizes, scratch)
    yield GroupedUnits(tuple(map(tuple, joined)), peak, schedule.lower_bound)
    if peak > schedule.peak:
        parted = join_in_order(found, schedule.order, sizes, scratch, schedule.peak)
        least = grouping_peak(found, parted, sizes, scratch)
        yield GroupedUnits(tuple(map(tuple, parted)), least, schedule.lower_bound)


def _problem(found: Sequence[Unit], sizes: dict[int, int], scratch: Sequence[int]) -> Problem:
    """The units as the scheduler sees them: a node's value is what the unit keeps in memory."""
    count = len(found)
    return Problem(
        [sum(sizes[i] for i in unit.gives) for unit in found],
        list(scratch),
        [False] * count,
        [False] * count,
        [sorted(unit.before | unit.along) for unit in found],
    )


def grouping_peak(
    found: Sequence[Unit],
    grouping: Sequence[Sequence[int]],
    sizes: dict[int, int],
    scratch: Sequence[int],
) -> int:
    """Most bytes that are held at once when units are grouped in sweeps like this.

    What units that aren't grouped yet will read back is held to the end.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, group in enumerate(grouping):
        for i in group:
            for value in found[i].gives:
                first[value] = number
                last.setdefault(value, number)
            for value in found[i].takes:
                last[value] = number
    grouped = {i for group in grouping for i in group}
    for i, unit in enumerate(found):
        if i not in grouped:
            last |= dict.fromkeys(unit.takes & first.keys(), len(grouping) - 1)
    # a value's bytes are added where it is first held, and taken away after its last sweep
    change = [0] * (len(grouping) + 1)
    for value, number in first.items():
        change[number] += sizes[value]
        change[last[value] + 1] -= sizes[value]
    held = accumulate(change)
    groups = zip(held, grouping, strict=False)
    return max((bytes_ + sum(scratch[i] for i in group) for bytes_, group in groups), default=0)


def join_in_order(
    found: Sequence[Unit],
    order: Sequence[int],
    sizes: dict[int, int],
    scratch: Sequence[int],
    limit: int,
) -> list[list[int]]:
    """Sweeps for units in an order, each unit in the first sweep that keeps within the limit."""
    grouping: list[list[int]] = []
    sweep_of: dict[int, int] = {}
    for i in order:
        unit = found[i]
        first = max((sweep_of[j] + 1 for j in unit.before), default=0)
        first = max([first, *(sweep_of[j] for j in unit.along)])
        for number in range(first, len(grouping)):
            grouping[number].append(i)
            if grouping_peak(found, grouping, sizes, scratch) <= limit:
                sweep_of[i] = number
                break
            grouping[number].pop()
        else:
            sweep_of[i] = len(grouping)
            grouping.append([i])
    return grouping
