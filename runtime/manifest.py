"""Plan -> mergec.json: what an output was made of, so that it can be checked and made again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..checkpoints.catalog import asked_revision
from ..compiler.binding.bound import Source
from ..compiler.binding.model_structure import sources_of
from ..compiler.planning.plan import Plan
from ..grammar.diagnostics import SourceText
from ..version import __version__
from .carry import files_below

FORMAT_VERSION = 2
"""1 listed only the shards among `files`, and neither `set` nor imports nor paths."""


def manifest(plan: Plan, number: int, backend: str, folder: Path) -> dict[str, Any]:
    """The manifest of one output: recipe, resolved sources, versions. Plain data, no times.

    folder: where all files of the output but the manifest itself are by now.
    """
    return {
        "format_version": FORMAT_VERSION,
        "mergec": __version__,
        "backend": backend,
        "recipe": {
            "name": plan.bound.name,
            "text": plan.source.text,
            "imports": [_imported(source) for source in plan.bound.imports],
        },
        "set": dict(plan.request.overrides),
        "optimise": plan.request.optimise,
        "seed": plan.bound.settings.seed,
        "sources": [_source(source) for source in sources_of(plan.bound.outputs[number].value)],
        "tensors": len(plan.layouts[number].slots),
        "files": [
            {"name": name, "size": (folder / name).stat().st_size}
            for name in sorted(files_below(folder))
        ],
    }


def _imported(source: SourceText) -> dict[str, str]:
    return {
        "path": os.path.abspath(source.name),
        "sha256": source.sha256,
        "text": source.text,
    }


def _source(source: Source) -> dict[str, Any]:
    """A source as it was asked for, and where and what it was found to be."""
    checkpoint = source.checkpoint
    return {
        "reference": source.reference,
        "asked_revision": asked_revision(source.reference),
        "revision": checkpoint.revision,
        "path": os.path.realpath(checkpoint.root),
        "files": [
            {
                "name": file.path.name,
                "size": file.size,
                "header_sha256": file.header_sha256,
            }
            for file in checkpoint.files
        ],
    }
