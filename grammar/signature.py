"""What the YAML front end must know of a merge method to spread its parameters over the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Signature:
    """A merge method as the YAML front end sees it.

    base: what `base_model` means: `required` or `optional` (the setting `base`), `unused` (one more
    source), `first` (the source at t = 0).
    columns: names of the parameters that each source has its own value of.
    settings: names of the parameters that the whole merge shares.
    sources: fewest and most sources besides the base; None: any number.
    defaults: value of each parameter that has one. kinds: what each takes: `number`, `integer`,
    `boolean`, `choice` or `model`.
    """

    base: Literal["required", "optional", "unused", "first"]
    columns: tuple[str, ...]
    settings: tuple[str, ...]
    defaults: Mapping[str, object]
    sources: tuple[int, int | None] = (1, None)
    kinds: Mapping[str, str] = field(default_factory=dict)


Signatures: TypeAlias = Mapping[str, Signature]
"""Every method's signature by its name."""
