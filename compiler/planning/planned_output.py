"""One output of a plan: all that is written for it, known before its first tensor is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ...checkpoints.shard_layout import Layout
from ...checkpoints.stores import StoredFile, read_small
from ...grammar.diagnostics import Span

MOST_COPIED = 2**31
"""Bytes of a small file: some processors come with small models of their own."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A small file with this content. name: below the output's folder, parts joined by `/`."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A small file that is copied as it is."""

    name: str
    source: StoredFile

    @property
    def content(self) -> bytes:
        """All of it. Errors: E0603 and E0605 for one that can't be read any more."""
        return read_small(self.source.store, self.source.name, MOST_COPIED)


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
