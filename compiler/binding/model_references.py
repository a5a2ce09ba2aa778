"""A string where a model is expected -> its checkpoint, opened once, by the catalog of its file."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from ...checkpoints.catalog import Catalog
from ...checkpoints.renames import RenameError, RenameRule, renamed
from ...grammar import is_yaml
from ...grammar.diagnostics import CheckpointError, Diagnostics, SourceText, Span
from ...grammar.syntax import Recipe, String
from .bound import Source


def named_models(recipe: Recipe) -> list[str]:
    """Every string of a recipe that may name a model, in order, each once."""
    found: dict[str, None] = {}
    waiting: list[Any] = [recipe]
    while waiting:
        node = waiting.pop()
        if isinstance(node, String):
            found[node.value] = None
        elif isinstance(node, tuple):
            waiting += reversed(node)
        elif is_dataclass(node) and not isinstance(node, (SourceText, Span)):
            waiting += [getattr(node, part.name) for part in reversed(fields(node))]
    return list(found)


class References:
    """Opens checkpoints. A path is relative to the file that its string stands in."""

    def __init__(self, catalog: Catalog, main: SourceText, problems: Diagnostics):
        self._main = main
        self._main_catalog = catalog
        self._catalogs = {os.path.abspath(catalog.recipe_folder): catalog}
        self._sources: dict[tuple[Catalog, str, bool, bool], Source | None] = {}
        self._renamed: dict[tuple[Source, tuple[RenameRule, ...]], Source | None] = {}
        self._problems = problems

    def open(self, reference: String, *, adapter: bool = False) -> Source | None:
        """The source of a reference, to a model or to an adapter.

        None if it can't be opened, which is reported once.
        Reports E0601 for an empty reference, and what the catalog finds wrong.
        """
        if not reference.value.strip():  # as a path it would be the recipe's own folder
            hint = "a model is `org/name` on the Hub, or a path that begins with ./ ../ / or ~"
            self._problems.report("E0601", "this names no model", reference.span, hint=hint)
            return None
        catalog = self._catalog_of(reference.span.source)
        prefer_path = is_yaml(reference.span.source)
        key = (catalog, reference.value, prefer_path, adapter)
        if key not in self._sources:
            self._sources[key] = self._open(catalog, reference, prefer_path, adapter)
        return self._sources[key]

    def open_renamed(
        self, reference: String, rules: tuple[RenameRule, ...], span: Span
    ) -> Source | None:
        """The source of a reference with its tensors called otherwise; the same for equal rules.

        Reports what `open` does, and E0333 for rules that don't fit.
        """
        source = self.open(reference)
        if source is None:
            return None
        key = (source, rules)
        if key not in self._renamed:
            try:
                for rule in rules:
                    rule.check()
                checkpoint = renamed(source.checkpoint, rules)
                self._renamed[key] = Source(checkpoint, checkpoint.reference, span)
            except RenameError as error:
                self._problems.report("E0333", error.message, span, hint=error.hint)
                self._renamed[key] = None
        return self._renamed[key]

    def inputs_within(self, folder: Path) -> list[str]:
        """The references that have a file in a folder."""
        found = (catalog.inputs_within(folder) for catalog in self._catalogs.values())
        return list(dict.fromkeys(reference for references in found for reference in references))

    def folder_of(self, source: SourceText) -> Path:
        """The folder that the paths in a recipe start from."""
        return self._catalog_of(source).recipe_folder

    def _catalog_of(self, source: SourceText) -> Catalog:
        if source is self._main:
            return self._main_catalog
        folder = os.path.abspath(os.path.dirname(source.name))
        if folder not in self._catalogs:
            self._catalogs[folder] = replace(self._main_catalog, recipe_folder=Path(folder))
        return self._catalogs[folder]

    def _open(
        self, catalog: Catalog, reference: String, prefer_path: bool, adapter: bool
    ) -> Source | None:
        opening = catalog.open_adapter if adapter else catalog.open
        try:
            checkpoint = opening(reference.value, reference.span, prefer_path=prefer_path)
        except CheckpointError as error:
            self._problems.items += error.diagnostics
            return None
        return Source(checkpoint, reference.value, reference.span)
