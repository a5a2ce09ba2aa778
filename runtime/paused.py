"""A run that was asked to stop -> how far it has come; the same run goes on from there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Paused(Exception):
    """What was under way is finished, and the rest isn't. Counts are of tensors."""

    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.done:,} of {self.total:,} tensors are done"
