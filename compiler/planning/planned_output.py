"""One output of a plan: all that is written for it, known before its first tensor is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ...checkpoints.shard_layout import Layout
from ...grammar.diagnostics import Span


@dataclass(frozen=True, slots=True)
class NewFile:
    """A small file with this content. name: below the output's folder, parts joined by `/`."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A small file that is copied as it is. size: its bytes when the plan was made."""

    name: str
    source: Path
    size: int


SmallFile: TypeAlias = NewFile | CopiedFile


@dataclass(frozen=True, eq=False)
class PlannedOutput:
    """Where an output goes, its shards byte by byte, its small files, what its manifest says.

    path: absolute. name: the path as a person would type it. span: the recipe's place that names
    it. files: what lies beside the weights, no two of one name. facts: the manifest but for what
    only a run knows (its backend, the files' final list).
    """

    path: Path
    name: str
    span: Span | None
    layout: Layout
    files: tuple[SmallFile, ...]
    facts: Mapping[str, Any]
