"""Vocabularies + what an output asks -> the output's vocabulary, and where each row comes from.

The tokens of a union are the base's under their own ids, then those that only others have, in the
order of the recipe and of their ids there: the plain tokens first, then the added ones. A row of an
embedding or a head that a source lacks comes from the source that the recipe names for the token,
else from its sole owner, else from the base, else it is the mean of its owners. These are
mergekit 0.1.5's rules, but for the order among new tokens, which there differs from run to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .vocabulary import AddedToken, Vocabulary, model_size

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints: TypeAlias = npt.NDArray[np.int64]

ZERO, MEAN, PADDING = -1, -2, -3
"""Donors that aren't sources: a row of zeros, the mean of its owners, the mean of all tokens'."""


class TokenRow(NamedTuple):
    """What gives a token its row: row `row` of source `source`, or zeros where that is None.

    force: every source's own row is replaced by it, too.
    """

    source: int | None
    row: int = 0
    force: bool = False


@dataclass(frozen=True)
class Counts:
    """What reconciling does: tokens that all sources have, that are new to the base, and so on.

    donated: rows that some source lacks, by the source that gives them. dropped: tokens of a
    source that its embedding has no row for.
    """

    tokens: int
    shared: int
    added: int
    padded: int
    averaged: int
    zero: int
    donated: Mapping[int, int]
    dropped: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class RowPick:
    """The rows that an embedding is made of: for each who gives it, and which of theirs.

    who: a source's number, or ZERO, MEAN or PADDING. row: its row there. owned: for each source and
    id its own row or -1, which a MEAN is of.
    """

    who: Ints
    row: Ints
    owned: tuple[Ints, ...] = ()

    def is_plain(self, source: int, rows: int) -> bool:
        """Whether it is just the source's own tensor of so many rows."""
        import numpy as np

        return (
            rows == len(self.who)
            and bool((self.who == source).all())
            and bool((self.row == np.arange(rows)).all())
        )


def first_rows(source: int, rows: int) -> RowPick:
    """The first rows of a source's own embedding."""
    import numpy as np

    return RowPick(np.full(rows, source, np.int64), np.arange(rows))


@dataclass(frozen=True, eq=False)
class Reconciled:
    """An output's vocabulary, and for each source the rows that its embedding is made of.

    rows: of the output's embedding, padding included. lacking: tokens that no row serves.
    """

    vocabulary: Vocabulary
    rows: int
    picks: tuple[RowPick, ...]
    counts: Counts
    lacking: tuple[str, ...] = ()


def reconcile(
    vocabularies: Sequence[Vocabulary],
    sizes: Sequence[int],
    *,
    like: int | Vocabulary | None,
    base: int = 0,
    gives_rows: bool = True,
    pad_to: int | None = None,
    tokens: Mapping[str, TokenRow] | None = None,
) -> Reconciled:
    """One vocabulary for several sources.

    vocabularies, sizes: each source's tokens, and the rows of its embedding.
    like: the source, or another vocabulary, that gives the output its tokens; None for the union.
    base: the source whose ids a union keeps; gives_rows: whether it gives its rows to the others,
    as the base of a merge does. pad_to: what the number of rows is a multiple of. tokens: rows that
    the recipe gives to tokens; those that don't exist are added.
    """
    import numpy as np

    asked = dict(tokens or {})
    if isinstance(like, Vocabulary):
        start, limit = like, like.size
    else:
        chosen = base if like is None else like
        start, limit = vocabularies[chosen], sizes[chosen]
    out = _Growing(start, limit)
    if like is None:
        others = [i for i in range(len(vocabularies)) if i != base]
        _add_all(
            out, [vocabularies[i] for i in (base, *others)], [sizes[i] for i in (base, *others)]
        )
    for token in asked:
        out.add(AddedToken(token))
    vocabulary = out.vocabulary()
    owned = tuple(
        _index(vocabulary, source, size) for source, size in zip(vocabularies, sizes, strict=True)
    )
    has = np.stack([index >= 0 for index in owned])
    owners = has.sum(axis=0)
    donor, donor_row = _donors(owned, has, owners, base if gives_rows else None)
    for token, given in asked.items():
        number = vocabulary.tokens[token]
        donor[number] = ZERO if given.source is None else given.source
        donor_row[number] = given.row
    forced = np.array(
        sorted(vocabulary.tokens[t] for t, given in asked.items() if given.force), np.int64
    )
    rows = vocabulary.size
    if pad_to is not None:
        rows = -(-rows // pad_to) * pad_to
    numbers = np.fromiter(vocabulary.tokens.values(), np.int64, len(vocabulary.tokens))
    lacks = numbers[(owners[numbers] < len(owned)) | np.isin(numbers, forced)]
    counts = _count(
        vocabulary, start, vocabularies, sizes, donor, owners, lacks, numbers, rows, base
    )
    nobody = set(numbers[owners[numbers] == 0].tolist())
    lacking = [t for t, n in vocabulary.tokens.items() if n in nobody and t not in asked]
    picks = _picks(owned, donor, donor_row, forced, rows)
    return Reconciled(vocabulary, rows, picks, counts, tuple(lacking))


def differing_ids(first: Vocabulary, other: Vocabulary) -> int:
    """How many ids stand for another token, or for none, in one of two vocabularies."""
    both = first.tokens.items() & other.tokens.items()
    numbers = {*first.tokens.values(), *other.tokens.values()}
    return len(numbers) - len(both)


def without(vocabulary: Vocabulary, rows: int) -> Vocabulary:
    """A vocabulary whose tokens past an embedding of so many rows are gone, and their merges."""
    unserved = set(vocabulary.unserved(rows))
    if not unserved:
        return vocabulary
    model = dict(vocabulary.content["model"])
    if isinstance(model["vocab"], dict):
        model["vocab"] = {t: n for t, n in model["vocab"].items() if t not in unserved}
    else:
        model["vocab"] = model["vocab"][:rows]
    if isinstance(merges := model.get("merges"), list):
        model["merges"] = [
            m for m in merges if unserved.isdisjoint(m.split(" ") if isinstance(m, str) else m)
        ]
    content = dict(vocabulary.content) | {"model": model}
    tokens = {t: n for t, n in vocabulary.tokens.items() if n < rows}
    added = {n: token for n, token in vocabulary.added.items() if n < rows}
    return replace(vocabulary, tokens=tokens, added=added, content=content)


class _Growing:
    """A vocabulary that tokens are added to, as the tokenizers library numbers them."""

    def __init__(self, start: Vocabulary, limit: int) -> None:
        self._start = without(start, limit)
        self.tokens = dict(self._start.tokens)
        self._added = dict(self._start.added)
        self._next = max(model_size(self._start.content), self._start.size)

    def add(self, token: AddedToken) -> None:
        if token.content not in self.tokens:
            self.add_plain([token.content])
            self._added[self._next - 1] = token

    def add_plain(self, texts: Sequence[str]) -> None:
        """Add tokens that aren't there yet, with the flags that a text alone gives."""
        numbers = range(self._next, self._next + len(texts))
        self.tokens.update(zip(texts, numbers, strict=True))
        self._added.update(zip(numbers, map(AddedToken, texts), strict=True))
        self._next = numbers.stop

    def mark(self, token: AddedToken) -> None:
        """Make a token an added one; one that is there keeps its id, and its flags if it is one."""
        self.add(token)
        self._added.setdefault(self.tokens[token.content], token)

    def vocabulary(self) -> Vocabulary:
        return replace(self._start, tokens=self.tokens, added=self._added)


def _add_all(out: _Growing, vocabularies: Sequence[Vocabulary], sizes: Sequence[int]) -> None:
    """The tokens that each embedding has a row for: plain ones first, then the added ones."""
    marked: dict[str, AddedToken] = {}
    for vocabulary, size in zip(vocabularies, sizes, strict=True):
        for number, token in vocabulary.added.items():
            if number < size:
                marked.setdefault(token.content, token)
    for vocabulary, size in zip(vocabularies, sizes, strict=True):
        known = out.tokens
        new = (item for item in vocabulary.tokens.items() if item[0] not in known)
        out.add_plain([text for text, number in new if number < size and text not in marked])
    for token in marked.values():
        out.mark(token)


def _index(out: Vocabulary, source: Vocabulary, size: int) -> Ints:
    """For each id of `out` the row that a source has for its token, or -1."""
    import numpy as np

    index = np.full(out.size, -1, np.int64)
    count = len(source.tokens)
    here = np.fromiter(source.tokens.values(), np.int64, count)
    there = np.fromiter(map(out.tokens.get, source.tokens, repeat(-1)), np.int64, count)
    kept = (there >= 0) & (here < size)
    index[there[kept]] = here[kept]
    return index


def _donors(owned: Sequence[Ints], has: Any, owners: Any, base: int | None) -> tuple[Ints, Ints]:
    """For each id who gives the row: a sole owner, else the base, else the mean of its owners."""
    import numpy as np

    stacked = np.stack(owned)
    donor = np.full(stacked.shape[1], MEAN, np.int64)
    donor[owners == 0] = ZERO
    if base is not None:
        donor[has[base]] = base
    sole = owners == 1
    donor[sole] = has[:, sole].argmax(axis=0)
    row = np.take_along_axis(stacked, np.maximum(donor, 0)[None, :], axis=0)[0]
    return donor, np.where(donor >= 0, row, 0)


def _picks(
    owned: tuple[Ints, ...], donor: Ints, donor_row: Ints, forced: Ints, rows: int
) -> tuple[RowPick, ...]:
    """For each source its own rows, the donors' where it lacks them or must have them, padding."""
    import numpy as np

    found = []
    for source, own in enumerate(owned):
        keep = own >= 0
        keep[forced] = False
        who = np.full(rows, PADDING, np.int64)
        row = np.zeros(rows, np.int64)
        who[: len(own)] = np.where(keep, source, donor)
        row[: len(own)] = np.where(keep, own, donor_row)
        found.append(RowPick(who, row, owned))
    return tuple(found)


def _count(
    out: Vocabulary,
    start: Vocabulary,
    vocabularies: Sequence[Vocabulary],
    sizes: Sequence[int],
    donor: Ints,
    owners: Any,
    lacks: Ints,
    numbers: Ints,
    rows: int,
    base: int,
) -> Counts:
    import numpy as np

    who, times = np.unique(donor[lacks], return_counts=True)
    given = dict(zip(who.tolist(), times.tolist(), strict=True))
    past = [
        len(vocabulary.unserved(size)) if vocabulary.size > size else 0
        for vocabulary, size in zip(vocabularies, sizes, strict=True)
    ]
    known = vocabularies[base].tokens.keys()
    return Counts(
        tokens=len(out.tokens),
        shared=int((owners[numbers] == len(vocabularies)).sum()),
        added=len(out.tokens.keys() - known),
        padded=rows - len(out.tokens),
        averaged=given.pop(MEAN, 0),
        zero=given.pop(ZERO, 0),
        donated=given,
        dropped={i: count for i, count in enumerate(past) if count},
    )
