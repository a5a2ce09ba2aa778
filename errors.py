"""Every error that mergec raises on purpose.

    MergecError                  carries one or more diagnostics, each with a stable code
    ├── RecipeError              E01xx syntax, E02xx names and kinds, E03xx models and parameters
    ├── CheckpointError          E031x, E06xx: a checkpoint that can't be read or trusted
    ├── ResourceError            E05xx: memory, disk, permissions
    └── RunError                 E06xx, E09xx: reading or writing failed while running

`error.diagnostics` is a tuple of `Diagnostic`: its code, message, place in the recipe (`span`, with
`line` and `column`), hint and notes; `str(error)` is what the command line prints, and
`diagnostic.to_json()` plain data. An error's diagnostics are all that the phase found.
"""

from __future__ import annotations

from .grammar.diagnostics import (
    CheckpointError,
    Diagnostic,
    MergecError,
    RecipeError,
    ResourceError,
    RunError,
    Span,
)

__all__ = [
    "CheckpointError",
    "Diagnostic",
    "MergecError",
    "RecipeError",
    "ResourceError",
    "RunError",
    "Span",
]
