"""Plan + meters -> what each group of stages took, beside what was predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..compiler.planning.plan import Plan, needed_bytes
from .meters import Meter
from .report import StageReport


def stage_reports(
    plan: Plan, planned_seconds: Sequence[float], meters: Mapping[tuple[str, ...], Meter]
) -> tuple[StageReport, ...]:
    """One for each group, in the order of the run. planned_seconds: of each component."""
    members: dict[tuple[str, ...], list[int]] = {}
    for number, group in enumerate(plan.stage_groups):
        members.setdefault(group, []).append(number)
    found = []
    for group, numbers in members.items():
        meter = meters.get(group, Meter())
        choices = [plan.choices[number] for number in numbers]
        targets = [plan.components[number].targets for number in numbers]
        found.append(
            StageReport(
                stages=group,
                steps=len(numbers),
                tensors=sum(len(names) for each in targets for names in each),
                seconds=meter.busy_seconds / plan.threads,
                planned_seconds=sum(planned_seconds[number] for number in numbers),
                bytes_read=meter.bytes_read,
                planned_read=sum(choice.read for choice in choices),
                grown_bytes=meter.grown_bytes,
                planned_bytes=max(needed_bytes(choice, plan.threads) for choice in choices),
            )
        )
    return tuple(found)
