"""The bound recipe: names resolved, kinds checked, parameters known, checkpoints open.

Model and delta expressions form a graph: a stage that is used twice is one object. Layer ranges and
tensors aren't looked at yet; that is `lower`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from ...checkpoints.checkpoint import Checkpoint
from ...checkpoints.mixtures.families import Family
from ...grammar.diagnostics import Diagnostic, SourceText, Span
from ...grammar.patterns import Test, is_relative, name_test
from ...grammar.syntax import Pattern
from ...ops.dtypes import DType, float32
from ...ops.method import Method
from ...ops.parameters import Value

# Parameter values -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gradient:
    """Values at evenly spaced knots over a merge's layers: linear for numbers, else in steps."""

    knots: tuple[Value, ...]

    def at(self, position: float) -> Value:
        """The value at a position in [0, 1]."""
        place = position * (len(self.knots) - 1)
        index = int(place)
        here, there = self.knots[index], self.knots[min(len(self.knots) - 1, index + 1)]
        if isinstance(here, (bool, str)) or here is None or there is None:
            return here
        share = place - index
        return (1.0 - share) * float(here) + share * float(there)


@dataclass(frozen=True)
class Matcher:
    """A `match` arm's pattern over tensor names."""

    pattern: Pattern

    def matches(self, name: str, depth: int | None = None) -> bool:
        """Whether a tensor's name is matched; depth: the number of layers of its model."""
        if self._fixed is not None:
            return self._fixed(name)
        return name_test(self.pattern.kind, self.pattern.text, depth)(name)

    @cached_property
    def needs_depth(self) -> bool:
        """Whether the pattern counts layers from the end."""
        return self.pattern.kind == "glob" and is_relative(self.pattern.text)

    @cached_property
    def _fixed(self) -> Test | None:
        """The test, if it doesn't depend on the depth."""
        kind, text = self.pattern.kind, self.pattern.text
        return None if self.needs_depth else name_test(kind, text)


@dataclass(frozen=True, eq=False)
class ByName:
    """A value picked by tensor name: the first arm that matches."""

    arms: tuple[tuple[Matcher, Value | Gradient], ...]
    span: Span

    @cached_property
    def needs_depth(self) -> bool:
        """Whether a pattern counts layers from the end."""
        return any(matcher.needs_depth for matcher, _ in self.arms)


Setting: TypeAlias = Value | Gradient | ByName


class Uncovered(Exception):
    """No arm of a `match` matches a tensor's name."""


def evaluate(setting: Setting, name: str, position: float, depth: int | None = None) -> Value:
    """A parameter's value for a tensor: its name picks the arm, its layer's position the knot.

    depth: the number of layers, for patterns that count from the end.
    Raises Uncovered where no arm matches.
    """
    if isinstance(setting, ByName):
        for matcher, value in setting.arms:
            if matcher.matches(name, depth):
                return value.at(position) if isinstance(value, Gradient) else value
        raise Uncovered(name)
    return setting.at(position) if isinstance(setting, Gradient) else setting


# Model and delta expressions --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Source:
    """A checkpoint, named as the recipe names it."""

    checkpoint: Checkpoint
    reference: str
    span: Span


@dataclass(frozen=True, eq=False)
class MergeInput:
    """A merge's source and its own columns, complete with defaults.

    models: the columns that are models beside the source, such as its Fisher information.
    """

    value: BoundExpr
    columns: Mapping[str, Setting]
    span: Span
    models: Mapping[str, BoundExpr] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Merge:
    """A merge method applied to its rows and base; settings complete with defaults.

    spans: where each parameter was written, for messages; a column's key is (row, name).
    """

    method: Method
    rows: tuple[MergeInput, ...]
    base: BoundExpr | None
    settings: Mapping[str, Setting]
    spans: Mapping[str | tuple[int, str], Span]
    span: Span


@dataclass(frozen=True, eq=False)
class Sliced:
    """Layers start up to stop of a model; None leaves a side open."""

    value: BoundExpr
    start: int | None
    stop: int | None
    span: Span


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices joined into a deeper model."""

    parts: tuple[BoundExpr, ...]
    span: Span


@dataclass(frozen=True, eq=False)
class Choice:
    """A model picked by tensor name."""

    arms: tuple[tuple[Matcher, BoundExpr], ...]
    span: Span


@dataclass(frozen=True, eq=False)
class Expert:
    """A model of a mixture. prompts, negative: texts that its gate is made from."""

    value: BoundExpr
    prompts: tuple[str, ...]
    negative: tuple[str, ...]
    span: Span


@dataclass(frozen=True, eq=False)
class Mixture:
    """Dense models as the experts of one. gate: how the experts are chosen, or a file of gates.

    shared: the expert that always takes part, if there is one. top_k: experts for each token.
    """

    base: BoundExpr
    experts: tuple[Expert, ...]
    shared: Expert | None
    gate: GateKind | Source
    top_k: int
    family: Family
    span: Span


@dataclass(frozen=True, eq=False)
class Stage:
    """An expression with a name: the unit that plans and progress speak of."""

    name: str
    value: BoundExpr
    keep: bool
    span: Span


GateKind: TypeAlias = Literal["random", "uniform", "hidden", "hidden_avg", "cheap_embed"]

BoundExpr: TypeAlias = Source | Merge | Sliced | Stack | Choice | Mixture | Stage
"""A model or a delta. Delta arithmetic and `cast` are merges of the methods in `ops.arithmetic`."""

# Recipes ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """The recipe's `set` values."""

    seed: int = 0
    dtype: DType | None = None
    compute: DType | None = None
    missing: Literal["error", "copy", "skip"] = "error"
    nonfinite: Literal["error", "allow"] = "error"

    @property
    def arithmetic(self) -> DType:
        """The dtype that elements are computed in."""
        return self.compute or float32


@dataclass(frozen=True, eq=False)
class TokenSource:
    """What gives a token its row: a source's row for it, or for another token there.

    source: None for a row of zeros. token, number: which token there, where it is another.
    force: those that have a row of their own get this one too.
    """

    source: Source | None
    token: str | None
    number: int | None
    force: bool
    span: Span


@dataclass(frozen=True, eq=False)
class TokenizerSetting:
    """An output's `tokenizer`: like another one's, or made of all; pad_to: a multiple of rows."""

    like: Source | Literal["union", "base"]
    pad_to: int | None
    tokens: Mapping[str, TokenSource]
    span: Span


@dataclass(frozen=True)
class TemplateSetting:
    """An output's `chat_template`: a name, a path from `folder`, or Jinja text."""

    asked: str
    folder: Path
    span: Span


@dataclass(frozen=True, eq=False)
class Output:
    """A `save`: path is absolute; dtype None means the inputs' promoted dtype, ByName one's name
    by tensor.

    config: the model whose config.json and small files the output has; None: its base, else its
    first source (see `config_source`).
    """

    value: BoundExpr
    path: Path
    dtype: DType | ByName | None
    shard_bytes: int
    license: str | None
    tokenizer: TokenizerSetting | None
    template: TemplateSetting | None
    span: Span
    config: BoundExpr | None = None


@dataclass(frozen=True, eq=False)
class Bound:
    """A recipe ready to be lowered. `sources` by reference, in order of first use.

    imports: the texts of the imported files, each once; their names are paths.
    """

    name: str
    imports: tuple[SourceText, ...]
    outputs: tuple[Output, ...]
    settings: Settings
    sources: Mapping[str, Checkpoint]
    stages: tuple[Stage, ...]
    warnings: tuple[Diagnostic, ...]
