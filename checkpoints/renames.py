"""Rules between names -> the same checkpoint with its tensors called otherwise; rules proposed.

    "model.language_model.{rest}" -> "model.{rest}"

A word in braces stands for any text, dots and all; what it stood for goes where it's written again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..grammar.diagnostics import nearest
from ..ops.dtypes import DType
from .checkpoint import Checkpoint
from .source_tensors import Extent, Opened, SourceTensor, TensorReader
from .stores import StoredFile

_WORD = re.compile(r"\{(\w+)\}")
_LOOKED_AT = 4096  # names, where a rule is looked for
_MOST = 0.8  # of the names a proposed rule has to explain


class RenameError(Exception):
    """Rules that can't be applied: `message`, and what may help."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class RenameRule:
    """Names that match `old` become `new`. Errors: RenameError from `check`."""

    old: str
    new: str

    def check(self) -> None:
        """Refuse words that stand for nothing, or for two things."""
        words = _WORD.findall(self.old)
        if len(set(words)) < len(words):
            raise RenameError(f"`{self.old}` has a word in braces twice")
        if unknown := set(_WORD.findall(self.new)) - set(words):
            raise RenameError(f"`{{{min(unknown)}}}` doesn't stand in `{self.old}`")

    def apply(self, name: str) -> str | None:
        """The new name, if the rule is for this one."""
        found = self._pattern.fullmatch(name)
        if found is None:
            return None
        return _WORD.sub(lambda word: found[word[1]], self.new)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = _WORD.split(self.old)
        literal = [re.escape(part) for part in parts[::2]]
        words = [f"(?P<{word}>.+)" for word in parts[1::2]]
        joined = [text for pair in zip(literal, [*words, ""], strict=True) for text in pair]
        return re.compile("".join(joined))


@dataclass(frozen=True, eq=False, slots=True)
class Renamed:
    """A tensor under another name."""

    name: str
    inner: SourceTensor

    @property
    def dtype(self) -> DType:
        return self.inner.dtype

    @property
    def natural(self) -> DType:
        return self.inner.natural

    @property
    def shape(self) -> tuple[int, ...]:
        return self.inner.shape

    @property
    def nbytes(self) -> int:
        return self.inner.nbytes

    @property
    def cost(self) -> int:
        return self.inner.cost

    @property
    def files(self) -> tuple[StoredFile, ...]:
        return self.inner.files

    @property
    def identity(self) -> tuple[object, ...]:
        return self.inner.identity

    def reader(self, opened: Opened) -> TensorReader:
        return self.inner.reader(opened)


def renamed(checkpoint: Checkpoint, rules: Sequence[RenameRule]) -> Checkpoint:
    """The checkpoint with the first rule that matches a name applied to it.

    Errors: RenameError for a rule that matches nothing, and two tensors that get one name.
    """
    used: set[RenameRule] = set()
    tensors: dict[str, SourceTensor] = {}
    for name, tensor in checkpoint.tensors.items():
        new = name
        for rule in rules:
            if (given := rule.apply(name)) is not None:
                used.add(rule)
                new = given
                break
        if (other := tensors.get(new)) is not None:
            old = other.inner.name if isinstance(other, Renamed) else other.name
            raise RenameError(f"`{old}` and `{name}` would both be called `{new}`")
        tensors[new] = tensor if new == name else _called(tensor, new)
    for rule in rules:
        if rule not in used:
            near = nearest(_WORD.sub("", rule.old), checkpoint.tensors)
            hint = f"the nearest name is `{near}`" if near else None
            raise RenameError(f"no tensor of `{checkpoint.reference}` is called `{rule.old}`", hint)
    return replace(checkpoint, reference=f"{checkpoint.reference} renamed", tensors=tensors)


def proposed_rename(
    names: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]
) -> RenameRule | None:
    """The one rule that makes most of a model's names those of another, by their ends and shapes.

    names, wanted: shapes by name, of models that have no name in common.
    """
    by_end: dict[str, list[str]] = {}
    for name in list(wanted)[:_LOOKED_AT]:
        by_end.setdefault(_end(name), []).append(name)
    found: Counter[tuple[str, str]] = Counter()
    looked = list(names)[:_LOOKED_AT]
    for name in looked:
        others = by_end.get(_end(name), [])
        same = [other for other in others if wanted[other] == names[name]]
        pairs = {_beginnings(name, other) for other in same}
        found.update(pairs)
    if not found:
        return None
    (old, new), count = max(found.items(), key=lambda item: (item[1], -len(item[0][0])))
    if count < _MOST * min(len(looked), len(wanted)):
        return None
    return RenameRule(old + "{rest}", new + "{rest}")


def _called(tensor: SourceTensor, name: str) -> SourceTensor:
    return tensor._replace(name=name) if isinstance(tensor, Extent) else Renamed(name, tensor)


def _end(name: str) -> str:
    """The last two parts of a name, which models of one architecture share."""
    return ".".join(name.split(".")[-2:])


def _beginnings(first: str, second: str) -> tuple[str, str]:
    """What two names begin with before what they share at their ends."""
    left, right = first.split("."), second.split(".")
    shared = 0
    while shared < min(len(left), len(right)) and left[-1 - shared] == right[-1 - shared]:
        shared += 1
    cut = [".".join(parts[: len(parts) - shared]) for parts in (left, right)]
    return (cut[0] + "." if cut[0] else "", cut[1] + "." if cut[1] else "")
