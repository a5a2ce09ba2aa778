"""Merges -> keys of random numbers: a stream for every source of every tensor."""

from __future__ import annotations

from collections.abc import Sequence

from ...ops.random_bits import stream_key
from ..binding.bound import BoundExpr, Choice, Merge, Mixture, Sliced, Source, Stack, Stage
from ..binding.model_structure import children, merge_inputs


class Streams:
    """The streams of a recipe with this seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._digests: dict[BoundExpr, int] = {}

    def keys(self, merge: Merge, names: Sequence[str]) -> tuple[int, ...]:
        """A key per source, of seed, stage, source, and the tensor's name in the source.

        A source that stands in a merge twice has two streams.
        """
        stage = self._digest(merge)
        seen: dict[int, int] = {}
        keys: list[int] = []
        for row, name in zip(merge.rows, names, strict=True):
            source = self._digest(row.value)
            repeat = seen[source] = seen.get(source, -1) + 1
            keys.append(stream_key(self._seed, stage, source, repeat, name))
        return tuple(keys)

    def _digest(self, expr: BoundExpr) -> int:
        """What an expression is made of, whatever it is called and whatever its numbers are.

        A merge keeps its masks when a weight changes or a stage is renamed.
        """
        found = self._digests.get(expr)
        if found is None:
            found = self._digests[expr] = self._find_digest(expr)
        return found

    def _find_digest(self, expr: BoundExpr) -> int:
        match expr:
            case Source():
                return stream_key("source", expr.reference)
            case Stage():
                return self._digest(expr.value)
            case Sliced():
                return stream_key("slice", self._digest(expr.value))
            case Merge():
                parts = [self._digest(part) for part in merge_inputs(expr)]
                return stream_key("merge", expr.method.name, *parts)
            case Stack():
                return stream_key("stack", *(self._digest(part) for part in expr.parts))
            case Choice():
                return stream_key("match", *(self._digest(value) for _, value in expr.arms))
            case Mixture():
                return stream_key("mixture", *(self._digest(part) for part in children(expr)))
