"""Error codes -> what each means: one table for messages, `mergec explain` and docs/errors.md.

A code stands for one cause, wherever it is found, and keeps its meaning for good. To add one: take
the next free number of its family, add a `Code` to that family's file, and report it. A test holds
that every code that is raised is in the table, that the table holds no other, and that every wrong
example is refused with its code while the right one isn't.

E01xx and W01xx  syntax              E05xx and W05xx  memory, disk, processors
E02xx and W02xx  names and kinds     E06xx            files and the Hub
E03xx and W03xx  models, parameters  E09xx            mistakes of mergec itself
E04xx and W04xx  tokenizers
"""

from __future__ import annotations

from collections.abc import Mapping

from . import (
    e01_syntax,
    e02_names,
    e03_models,
    e04_tokenizers,
    e05_resources,
    e06_files,
    e09_internal,
)
from .code import Code

__all__ = ["CODES", "Code"]

_FAMILIES = (
    e01_syntax,
    e02_names,
    e03_models,
    e04_tokenizers,
    e05_resources,
    e06_files,
    e09_internal,
)

CODES: Mapping[str, Code] = {entry.code: entry for family in _FAMILIES for entry in family.CODES}
"""Every code by its name, errors and warnings of a family together."""
