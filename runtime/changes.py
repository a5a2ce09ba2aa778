"""A plan and the outputs that are there -> what a run of it computes, copies and keeps, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..compiler.planning.estimate import estimate
from ..compiler.planning.lineage import read_lineage, reason
from ..compiler.planning.plan import Plan
from ..compiler.sweeps.components import Component
from .earlier_output import EarlierOutput, is_unchanged, read_earlier
from .identity import run_digest, run_keys
from .journal import Record
from .record import read_record
from .reuse import reusable
from .run_folder import RunFolder, run_folders

_UNSEEN = "another version of mergec made it, or its file was touched since"


@dataclass(frozen=True, eq=False)
class Changes:
    """What is left to be done of a plan, in tensors and bytes of outputs.

    computed, copied, finished: numbers of tensors; *_bytes: their bytes. finished: by earlier runs
    of this plan, or in outputs that are complete. reasons: why tensors of an output that is there
    are computed again, and how many for each reason, most first. read_bytes, seconds: of what is
    computed. leftovers: run folders of other plans for these outputs.
    """

    computed: int
    computed_bytes: int
    copied: int
    copied_bytes: int
    finished: int
    finished_bytes: int
    read_bytes: int
    seconds: float
    reasons: tuple[tuple[str, int], ...]
    leftovers: tuple[str, ...]

    @property
    def is_fresh(self) -> bool:
        """Whether nothing is there that could be used."""
        return not self.copied and not self.finished


def planned_changes(plan: Plan, backend: str = "native") -> Changes:
    """Look at outputs and run folders; nothing is changed. Raises OSError."""
    earlier = [read_earlier(output.path) for output in plan.outputs]
    beside = [run_folders(output.path) for output in plan.outputs]
    if not any(earlier) and not any(beside):
        return _all_of_it(plan)
    keys, digest = run_keys(plan, backend), run_digest(plan, backend)
    planned_seconds = estimate(plan).parts
    complete = [
        old is not None and is_unchanged(old, output, wanted)
        for old, output, wanted in zip(earlier, plan.outputs, keys, strict=True)
    ]
    folders = [
        None if done else RunFolder(output.path, digest, output.span)
        for done, output in zip(complete, plan.outputs, strict=True)
    ]
    records: list[Record] = [
        {} if folder is None else read_record(folder, planned, wanted)
        for folder, planned, wanted in zip(folders, plan.outputs, keys, strict=True)
    ]
    left = [at for at, c in enumerate(plan.components) if _is_left(c, folders, records)]
    same = reusable(plan, left, folders, earlier, keys, records)
    copied = set(same)
    computing = [
        at
        for at in left
        if any(pair not in copied for pair in _missing(plan.components[at], folders, records))
    ]
    todo = [pair for at in computing for pair in _missing(plan.components[at], folders, records)]
    total = sum(len(layout.slots) for layout in plan.layouts)
    bytes_of = {
        (number, name): slot.nbytes
        for number, layout in enumerate(plan.layouts)
        for name, slot in layout.slots.items()
    }
    computed_bytes = sum(bytes_of[pair] for pair in todo)
    copied_bytes = sum(bytes_of[pair] for pair in same)
    return Changes(
        computed=len(todo),
        computed_bytes=computed_bytes,
        copied=len(same),
        copied_bytes=copied_bytes,
        finished=total - len(todo) - len(same),
        finished_bytes=sum(bytes_of.values()) - computed_bytes - copied_bytes,
        read_bytes=sum(plan.choices[at].read for at in computing),
        seconds=sum(planned_seconds[at] for at in computing),
        reasons=_reasons(plan, todo, earlier),
        leftovers=tuple(
            str(folder)
            for output, found in zip(plan.outputs, beside, strict=True)
            for folder in found
            if folder != RunFolder(output.path, digest).folder
        ),
    )


def _all_of_it(plan: Plan) -> Changes:
    """What is left where nothing is there: no key is needed to know it."""
    return Changes(
        computed=sum(len(layout.slots) for layout in plan.layouts),
        computed_bytes=sum(s.nbytes for layout in plan.layouts for s in layout.slots.values()),
        copied=0,
        copied_bytes=0,
        finished=0,
        finished_bytes=0,
        read_bytes=plan.bytes_read,
        seconds=sum(estimate(plan).parts),
        reasons=(),
        leftovers=(),
    )


def _missing(
    component: Component, folders: Sequence[RunFolder | None], records: Sequence[Record]
) -> list[tuple[int, str]]:
    return [
        (t.output, t.name)
        for targets in component.targets
        for t in targets
        if folders[t.output] is not None and t.name not in records[t.output]
    ]


def _is_left(
    component: Component, folders: Sequence[RunFolder | None], records: Sequence[Record]
) -> bool:
    return bool(_missing(component, folders, records))


def _reasons(
    plan: Plan, todo: Sequence[tuple[int, str]], earlier: Sequence[EarlierOutput | None]
) -> tuple[tuple[str, int], ...]:
    counted: Counter[str] = Counter()
    before = [None if old is None else read_lineage(old.manifest.get("made")) for old in earlier]
    for output, name in todo:
        lineage = before[output]
        if lineage is not None:
            said = reason(lineage, plan.lineages[output], name)
            counted[said or _UNSEEN] += 1
    return tuple(counted.most_common())
