"""Plan -> mergec.json: what an output was made of, so that it can be checked and made again."""

from __future__ import annotations

from typing import Any

from ..compiler.plan import Plan
from ..compiler.structure import sources_of
from ..version import __version__

FORMAT_VERSION = 1


def manifest(plan: Plan, number: int, backend: str) -> dict[str, Any]:
    """The manifest of one output: recipe, resolved sources, versions. Plain data, no times."""
    output = plan.bound.outputs[number]
    sources = sources_of(output.value)
    return {
        "format_version": FORMAT_VERSION,
        "mergec": __version__,
        "backend": backend,
        "recipe": {"name": plan.bound.name, "text": plan.source.text},
        "seed": plan.bound.settings.seed,
        "sources": [
            {
                "reference": source.reference,
                "revision": source.checkpoint.revision,
                "files": [
                    {
                        "name": file.path.name,
                        "size": file.size,
                        "header_sha256": file.header_sha256,
                    }
                    for file in source.checkpoint.files
                ],
            }
            for source in sources
        ],
        "tensors": len(plan.layouts[number].slots),
        "files": [
            {"name": shard.name, "size": shard.size} for shard in plan.layouts[number].shards
        ],
    }
