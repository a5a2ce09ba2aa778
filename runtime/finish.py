"""Run folders with every tensor accounted for -> complete outputs under their final names."""

from __future__ import annotations

from collections.abc import Sequence

from ..compiler.planning.plan import Plan
from ..grammar.diagnostics import RunError
from .checks import check_sources
from .journal import Record
from .manifest import manifest
from .run_folder import RunFolder, is_whole

_LISTED = 6


def finish(
    plan: Plan,
    folders: Sequence[RunFolder | None],
    records: Sequence[Record],
    backend: str,
) -> None:
    """Check that all is there and that no source has changed meanwhile; write manifests; commit.

    records: each output's finished tensors. Errors: RunError E0650 (too early), E0651 (a source has
    changed), E0603; ResourceError E0503.
    """
    rows = list(zip(folders, plan.outputs, records, strict=True))
    for folder, planned, record in rows:
        if folder is None:
            continue
        missing = [name for name in planned.layout.slots if name not in record]
        damaged = [s.name for s in planned.layout.shards if not is_whole(folder.folder, s)]
        if missing or damaged:
            left = missing or damaged
            more = (f"… and {len(left) - _LISTED} more",) if len(left) > _LISTED else ()
            what = "tensors aren't finished" if missing else "files aren't whole"
            raise RunError.of(
                "E0650",
                f"{planned.path} isn't complete: {len(left)} {what}",
                notes=(*left[:_LISTED], *more),
                hint="run the recipe again: it goes on where it stopped",
            )
    check_sources(plan)
    for (folder, planned, record), lineage in zip(rows, plan.lineages, strict=True):
        if folder is not None:
            folder.write_manifest(manifest(planned, lineage, backend, record))
    for folder, _, _ in rows:
        if folder is not None:
            folder.commit()
