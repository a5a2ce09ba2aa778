"""An output's sources and its `tokenizer` -> its vocabulary, and its tensors as that wants them.

Without a setting the base's tokenizer is kept: then sources must have as many tokens as it, and a
warning counts those that differ. `truncate` cuts embeddings to the smallest instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce

from ...checkpoints.adapters.adapter import Adapter
from ...checkpoints.checkpoint import Checkpoint
from ...checkpoints.layers import is_head
from ...checkpoints.printable import some
from ...checkpoints.source_tensors import SourceTensor
from ...checkpoints.tied_head import tied_embedding
from ...checkpoints.vocabularies.picked_rows import PickedRows
from ...checkpoints.vocabularies.reconcile import (
    Reconciled,
    RowPick,
    TokenRow,
    differing_ids,
    first_rows,
    reconcile,
    without,
)
from ...checkpoints.vocabularies.vocabulary import Vocabulary, read_from, read_vocabulary
from ...checkpoints.vocabularies.vocabulary_tensors import embedding_rows, has_token_rows
from ...grammar.diagnostics import CheckpointError, Diagnostics, RecipeError, Span
from ...ops.dtypes import promote
from ...quantities import count
from ..binding.bound import BoundExpr, Merge, Output, Sliced, Source, Stack, Stage, TokenSource
from ..binding.model_structure import config_source, sources_of


@dataclass(frozen=True, eq=False)
class OutputVocabulary:
    """What an output's tokens are, and how its sources' tensors are seen.

    base: the base's own vocabulary. vocabulary: the output's; both None where nobody has a
    tokenizer. sources: in the order of the recipe. picks: for each the rows of its embedding.
    reconciled: where a `tokenizer` was asked for. changed: names of tensors whose rows are picked.
    """

    base: Vocabulary | None
    vocabulary: Vocabulary | None
    sources: tuple[Checkpoint, ...]
    sizes: tuple[int, ...]
    picks: tuple[RowPick, ...]
    reconciled: Reconciled | None
    _views: dict[tuple[int, str], SourceTensor] = field(default_factory=dict, init=False)

    @cached_property
    def changed(self) -> frozenset[str]:
        names = {
            name
            for number, source in enumerate(self.sources)
            if not self.picks[number].is_plain(number, self.sizes[number])
            for name, tensor in source.tensors.items()
            if has_token_rows(name, tensor.shape, self.sizes[number])
        }
        heads = {name for source in self.sources for name in source.tensors if is_head(name)}
        return frozenset(names | heads) if names else frozenset()

    def tensor(self, checkpoint: Checkpoint, name: str) -> SourceTensor | None:
        """A source's tensor of a name, its rows picked if it has one a token; None: it has none."""
        own = stored_tensor(checkpoint, name)
        if name not in self.changed or own is None or checkpoint not in self.sources:
            return own
        number = self.sources.index(checkpoint)
        pick = self.picks[number]
        if not has_token_rows(name, own.shape, self.sizes[number]) or pick.is_plain(
            number, own.shape[0]
        ):
            return own
        key = (number, name)
        if key not in self._views:
            self._views[key] = self._view(number, name, own, pick)
        return self._views[key]

    def _view(self, number: int, name: str, own: SourceTensor, pick: RowPick) -> SourceTensor:
        parts = {number: own}
        for other, checkpoint in enumerate(self.sources):
            found = stored_tensor(checkpoint, name)
            if found is not None and found.shape[1:] == own.shape[1:]:
                parts[other] = found
        dtype = reduce(promote, (part.dtype for part in parts.values()))
        return PickedRows(name, dtype, parts, pick)


class OutputVocabularies:
    """Finds the vocabularies of a recipe's outputs; equal ones are one object.

    truncate: cut embeddings to the smallest where a recipe says nothing.
    """

    def __init__(self, truncate: bool, problems: Diagnostics):
        self._truncate = truncate
        self._problems = problems
        self._read: dict[Checkpoint, Vocabulary | None] = {}
        self._found: dict[tuple[object, ...], OutputVocabulary | None] = {}

    def of(self, output: Output) -> OutputVocabulary | None:
        """The vocabulary of an output; None where its models have none that could be told.

        Reports E0403, E0404, W0401, W0403.
        """
        finder = _Finder(output, self._read, self._problems)
        key = finder.key()
        if key not in self._found:
            self._found[key] = self._find(finder)
        return self._found[key]

    def _find(self, finder: _Finder) -> OutputVocabulary | None:
        if finder.base not in finder.sizes:
            return None
        try:
            if finder.output.tokenizer is not None:
                return finder.reconciled()
            return finder.truncated() if self._truncate else finder.kept()
        except (CheckpointError, RecipeError) as error:
            self._problems.items += error.diagnostics
            return None


@dataclass
class _Finder:
    """One output's vocabulary, found. known: vocabularies that were read before."""

    output: Output
    known: dict[Checkpoint, Vocabulary | None]
    problems: Diagnostics

    def __post_init__(self) -> None:
        self.expr = self.output.value
        found = dict.fromkeys(
            source.checkpoint
            for source in sources_of(self.expr)
            if not isinstance(source.checkpoint, Adapter)
        )
        sizes = {checkpoint: embedding_rows(checkpoint.tensors) for checkpoint in found}
        self.sources = [checkpoint for checkpoint, size in sizes.items() if size is not None]
        self.sizes = {checkpoint: size for checkpoint, size in sizes.items() if size is not None}
        self.base = config_source(self.output).checkpoint
        # mergekit's base gives rows to others, whether or not its method computes with it
        self.gives_rows = self.output.config is not None or _has_base(self.expr)

    def key(self) -> tuple[object, ...]:
        """Equal for outputs that have one vocabulary."""
        asked = self.output.tokenizer
        parts: tuple[object, ...] = (self.base, self.gives_rows, tuple(self.sources))
        if asked is None:
            return parts
        like = asked.like.checkpoint if isinstance(asked.like, Source) else asked.like
        tokens = (
            (t, g.source and g.source.checkpoint, g.token, g.number, g.force)
            for t, g in asked.tokens.items()
        )
        return (*parts, like, asked.pad_to, *tokens)

    # With a setting -----------------------------------------------------------------------------

    def reconciled(self) -> OutputVocabulary:
        asked = self.output.tokenizer
        assert asked is not None
        base = self._read(self.base)
        if base is None:
            raise RecipeError.of(
                "E0403",
                f"{self.base.reference} has no tokenizer that others could be reconciled with",
                span=asked.span,
                hint="leave `tokenizer` out, or put a tokenizer.json beside the base's weights",
            )
        donors = [given.source.checkpoint for given in asked.tokens.values() if given.source]
        for donor in donors:
            size = embedding_rows(donor.tensors)
            if donor not in self.sizes and size is not None:
                self.sources.append(donor)
                self.sizes[donor] = size
        vocabularies = [self._read_or(source, base) for source in self.sources]
        like: int | Vocabulary | None = None
        if isinstance(asked.like, Source):
            like = self._like(asked.like)
        elif asked.like == "base":
            like = self.sources.index(self.base)
        sizes = [self.sizes[source] for source in self.sources]
        found = reconcile(
            vocabularies,
            sizes,
            like=like,
            base=self.sources.index(self.base),
            gives_rows=self.gives_rows,
            pad_to=asked.pad_to,
            tokens={t: self._row(t, given, vocabularies) for t, given in asked.tokens.items()},
        )
        self._refuse_lacking(found, asked.span)
        return OutputVocabulary(
            base, found.vocabulary, tuple(self.sources), tuple(sizes), found.picks, found
        )

    def _like(self, source: Source) -> int | Vocabulary:
        checkpoint = source.checkpoint
        if checkpoint in self.sizes:
            return self.sources.index(checkpoint)
        found = self._read(checkpoint)
        if found is None:
            message = f"{checkpoint.reference} has no tokenizer"
            raise RecipeError.of("E0403", message, span=source.span)
        return found

    def _row(self, token: str, given: TokenSource, vocabularies: Sequence[Vocabulary]) -> TokenRow:
        if given.source is None:
            return TokenRow(None, force=given.force)
        number = self.sources.index(given.source.checkpoint)
        row = given.number
        if row is None:
            row = vocabularies[number].tokens.get(given.token or token)
        if row is None or row >= self.sizes[self.sources[number]]:
            wanted = f"id {given.number}" if given.number is not None else given.token or token
            raise RecipeError.of(
                "E0404",
                f"{given.source.reference} has no row for `{wanted}`",
                span=given.span,
                hint="`token { model, name = … }` takes the row of another token",
            )
        return TokenRow(number, row, given.force)

    def _refuse_lacking(self, found: Reconciled, span: Span) -> None:
        if found.lacking:
            raise RecipeError.of(
                "E0404",
                f"no source has a row for {count(len(found.lacking), 'token')} of this tokenizer",
                span=span,
                notes=(some(list(found.lacking)),),
                hint='give each its row, `"<|token|>" = model` or `= zero`, or choose `union`',
            )

    # Without one --------------------------------------------------------------------------------

    def kept(self) -> OutputVocabulary:
        """The base's tokenizer and every source's rows as they are."""
        base = self._readable(self.base)
        sizes = [self.sizes[source] for source in self.sources]
        if base is not None:
            self._warn_of_differing(base)
            self._refuse_unserved(base)
        picks = tuple(first_rows(i, size) for i, size in enumerate(sizes))
        return OutputVocabulary(base, base, tuple(self.sources), tuple(sizes), picks, None)

    def truncated(self) -> OutputVocabulary:
        """Every embedding cut to the smallest, and the base's tokenizer with it."""
        smallest = min(self.sizes.values())
        picks = tuple(first_rows(number, smallest) for number in range(len(self.sources)))
        base = self._readable(self.base)
        short = None if base is None else without(base, smallest)
        sizes = tuple(self.sizes[source] for source in self.sources)
        return OutputVocabulary(base, short, tuple(self.sources), sizes, picks, None)

    def _warn_of_differing(self, base: Vocabulary) -> None:
        """Count the ids of sources with as many rows that stand for other tokens."""
        counted = []
        for source in self.sources:
            if source is self.base or self.sizes[source] != self.sizes[self.base]:
                continue
            other = self._readable(source)
            if other is not None and (differing := differing_ids(base, other)):
                counted.append(f"{source.reference}: {count(differing, 'id')}")
        if counted:
            self.problems.report(
                "W0403",
                f"{count(len(counted), 'tokenizer')} of this merge differ from the base's",
                self.output.span,
                notes=tuple(counted),
                hint="ids that stand for other tokens are merged as if they were the same: "
                "`tokenizer = union` or `tokenizer = base` sorts them",
            )

    def _refuse_unserved(self, base: Vocabulary) -> None:
        unserved = base.unserved(self.sizes[self.base]) if base.size > self.sizes[self.base] else []
        if unserved:
            raise RecipeError.of(
                "E0404",
                f"the tokenizer of {self.base.reference} has {count(len(unserved), 'token')} that "
                "its embedding has no row for",
                span=self.output.span,
                notes=(some(unserved),),
                hint="`tokenizer = base` leaves them out",
            )

    # Reading ------------------------------------------------------------------------------------

    def _read(self, checkpoint: Checkpoint) -> Vocabulary | None:
        if checkpoint not in self.known:
            self.known[checkpoint] = read_vocabulary(
                read_from(checkpoint.store), checkpoint.place, self.output.span
            )
        return self.known[checkpoint]

    def _readable(self, checkpoint: Checkpoint) -> Vocabulary | None:
        """A vocabulary that is only looked at: one that can't be read is copied as it is."""
        try:
            return self._read(checkpoint)
        except CheckpointError:
            self.known[checkpoint] = None
            return None

    def _read_or(self, checkpoint: Checkpoint, base: Vocabulary) -> Vocabulary:
        """A source's vocabulary; the base's for one without, which is a warning."""
        found = self._read(checkpoint)
        if found is None:
            self.problems.report(
                "W0401",
                f"{checkpoint.reference} has no tokenizer: it is taken to have the base's",
                self.output.span,
            )
        return found or base


def stored_tensor(checkpoint: Checkpoint, name: str) -> SourceTensor | None:
    """A checkpoint's tensor as it is stored; of a tied head its embedding."""
    return checkpoint.tensors.get(name) or tied_embedding(checkpoint, name)


def _has_base(expr: BoundExpr) -> bool:
    """Whether the merge that gives the embedding has a base, which then gives rows to others."""
    while not isinstance(expr, Merge):
        match expr:
            case Stage() | Sliced():
                expr = expr.value
            case Stack():
                expr = expr.parts[0]
            case _:
                return False
    return expr.base is not None or expr.method.base == "first"
