"""The parents' licences -> the one that a merge of them has.

The most restrictive of those known, where one allows what the others ask; else `other`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_PERMISSIVE = (
    "cc0-1.0",
    "unlicense",
    "wtfpl",
    "0bsd",
    "mit",
    "isc",
    "zlib",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsl-1.0",
    "apache-2.0",
)
"""Works under these may be part of a work under any other licence; least demanding first."""

_CHAINS = (
    ("lgpl-2.1", "lgpl-3.0", "gpl-3.0", "agpl-3.0"),
    ("cc-by-3.0", "cc-by-4.0", "cc-by-sa-4.0"),
    ("cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
)
"""Works under one may be part of a work under a later one."""

_NO_DERIVATIVES = ("cc-by-nd-4.0", "cc-by-nc-nd-4.0")


@dataclass(frozen=True)
class Licence:
    """A merge's licence; None where no parent's is known. problem: why it needs a person."""

    name: str | None
    problem: str | None = None


def merged_licence(known: Mapping[str, str | None]) -> Licence:
    """The licence of a merge. known: each parent's, by its reference; None where it isn't known."""
    found = list(dict.fromkeys(name.lower() for name in known.values() if name is not None))
    if refused := [name for name in found if name in _NO_DERIVATIVES]:
        return Licence("other", f"{refused[0]} allows no derivatives")
    demanding = [name for name in found if name not in _PERMISSIVE]
    if not demanding:
        ranked = sorted(found, key=_PERMISSIVE.index)
        return Licence(ranked[-1] if ranked else None)
    if len(demanding) == 1:
        return Licence(demanding[0])
    for chain in _CHAINS:
        if all(name in chain for name in demanding):
            return Licence(max(demanding, key=chain.index))
    return Licence("other", f"{' and '.join(demanding)} can't be combined without their holders")
