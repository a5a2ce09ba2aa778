"""Plan -> run folders in which only tensors are missing: whatever can fail is tried here."""

from __future__ import annotations

from collections.abc import Sequence

from ..compiler.planning.plan import Plan
from .checks import check_equalities, check_outputs
from .disk import check_space
from .files import Files
from .journal import Record
from .record import Keys, settle_record
from .run_folder import RunFolder, is_whole


def prepare(
    plan: Plan, folders: Sequence[RunFolder | None], keys: Sequence[Keys], files: Files
) -> list[Record]:
    """Check the outputs, reserve their space, write every small file, every shard's header.

    folders: for each output the one that it is made in, held by this process; None for one that is
    complete already. keys: each output's content keys. Returns what earlier runs of the same plan
    have finished in these folders; doing it again changes nothing.
    Errors: ResourceError E0501, E0502, E0505; RunError E0603, E0605; CheckpointError E0319.
    """
    check_outputs(plan)
    check_equalities(plan, files)
    rows = list(zip(folders, plan.outputs, plan.most_spilled, keys, strict=True))
    records: list[Record] = [
        {} if folder is None else settle_record(folder, planned, expected)
        for folder, planned, _, expected in rows
    ]
    check_space(
        {
            folder.path: spilled
            + sum(s.size for s in planned.layout.shards if not is_whole(folder.folder, s))
            for folder, planned, spilled, _ in rows
            if folder is not None
        }
    )
    for folder, planned, _, _ in rows:
        if folder is not None:
            folder.fill(planned)
    return records
