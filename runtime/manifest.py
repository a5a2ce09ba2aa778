"""Planned output + the folder that it was written to -> mergec.json: what it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..compiler.planning.planned_output import PlannedOutput
from .carry import files_below


def manifest(planned: PlannedOutput, backend: str, folder: Path) -> dict[str, Any]:
    """The manifest of one output: recipe, resolved sources, versions. Plain data, no times.

    folder: where all files of the output but the manifest itself are by now.
    """
    return {
        **planned.facts,
        "backend": backend,
        "files": [
            {"name": name, "size": (folder / name).stat().st_size}
            for name in sorted(files_below(folder))
        ],
    }
