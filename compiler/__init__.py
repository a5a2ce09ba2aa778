"""Recipe text -> Plan: the whole compiler, a phase a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..checkpoints.catalog import Catalog
from ..checkpoints.hub.hub import Hub
from ..grammar import AS_WRITTEN, YamlOptions, parse
from ..grammar.diagnostics import Diagnostic, Diagnostics, SourceText
from ..grammar.syntax import Recipe
from .binding.bind import bind
from .binding.bound import Bound
from .binding.method_signatures import SIGNATURES
from .graph.graph import Graph
from .graph.passes import optimise
from .lowering.lower import Lowered, lower
from .planning.machine import processor_count
from .planning.plan import Memory, Plan, Request, make_plan
from .planning.token_files import TokenFiles, find_token_files
from .recursion import deep_recursion
from .sweeps.components import Component, components


@dataclass(frozen=True)
class Phases:
    """A recipe's way through the compiler, each phase run when its result is first asked for.

    folder: what the recipe's relative paths start from. models: local mirrors, where
    `DIR/org/name` stands for `org/name`. overrides: values of the recipe's `param`s, as text.
    out: path of the output (of several outputs: the folder that they go into). threads: workers, by
    default one a core. memory: most bytes of buffers and held values, or `min`. optimise_level: 2
    also takes sums apart where that changes their last bits (see `collapse`). yaml: how mergekit's
    YAML is read. hub: where models are found that aren't on this machine. trust: run the Python
    files of methods that the recipe uses. truncate_embeddings: cut embeddings of different sizes to
    the smallest, where no `tokenizer` says what to do.
    Errors of each result: RecipeError, CheckpointError, ResourceError, with all problems found.
    """

    source: SourceText
    folder: Path
    models: tuple[Path, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    out: str | None = None
    threads: int | None = None
    memory: Memory = None
    optimise_level: int = 1
    yaml: YamlOptions = AS_WRITTEN
    hub: Hub = field(default_factory=Hub)
    trust: bool = False
    truncate_embeddings: bool = False

    @cached_property
    @deep_recursion()
    def tree(self) -> Recipe:
        """The recipe's syntax tree."""
        return parse(self.source, SIGNATURES, self.yaml)

    @cached_property
    @deep_recursion()
    def bound(self) -> Bound:
        """Names, kinds and parameters resolved; the headers of the checkpoints are read."""
        catalog = Catalog(self.folder, self.models, self.hub)
        return bind(self.tree, catalog, overrides=self.overrides, out=self.out, trust=self.trust)

    @cached_property
    @deep_recursion()
    def lowered(self) -> Lowered:
        """The graph as the recipe says it: a node per tensor operation."""
        problems = Diagnostics()
        lowered = lower(self.bound, problems, self.truncate_embeddings)
        problems.raise_errors()
        return lowered

    @cached_property
    def tokens(self) -> tuple[tuple[TokenFiles, ...], Sequence[Diagnostic]]:
        """The files of each output's tokenizer, and what they warn of."""
        problems = Diagnostics()
        found = find_token_files(self.bound, self.lowered.vocabularies, problems)
        problems.raise_errors()
        return found, problems.warnings

    @cached_property
    def optimised(self) -> Graph:
        """The graph after all passes."""
        return optimise(self.lowered.graph)

    @cached_property
    def components(self) -> list[Component]:
        """What is computed together."""
        settings = self.bound.settings
        refuses_nonfinite = settings.nonfinite == "error"
        return components(
            self.optimised, settings.arithmetic, refuses_nonfinite, self.optimise_level
        )

    @cached_property
    @deep_recursion()
    def plan(self) -> Plan:
        """Everything that a run of the recipe will do."""
        request = Request(
            self.folder,
            self.models,
            self.overrides,
            self.out,
            self.optimise_level,
            self.yaml,
            self.hub.streams,
            self.truncate_embeddings,
        )
        tokens, warnings = self.tokens
        return make_plan(
            request,
            self.source,
            self.bound,
            self.lowered,
            tokens,
            self.optimised,
            self.components,
            (*self.lowered.warnings, *warnings),
            self.threads or processor_count(),
            self.memory,
        )


def compile_recipe(
    source: SourceText,
    *,
    folder: Path,
    models: Sequence[Path] = (),
    overrides: Mapping[str, str] | None = None,
    out: str | None = None,
    threads: int | None = None,
    memory: Memory = None,
    optimise_level: int = 1,
    yaml: YamlOptions = AS_WRITTEN,
    hub: Hub | None = None,
    trust: bool = False,
    truncate_embeddings: bool = False,
) -> Plan:
    """The last phase's result. The arguments and errors are those of Phases."""
    given = dict(overrides or {})
    return Phases(
        source,
        folder,
        tuple(models),
        given,
        out,
        threads,
        memory,
        optimise_level,
        yaml,
        hub or Hub(),
        trust,
        truncate_embeddings,
    ).plan
