"""Recipe -> Bound: names resolved, kinds checked, parameters known, checkpoints open.

A recipe and all that it imports are bound statement by statement, imported recipes first. Every
error is collected, and all are raised at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...checkpoints.catalog import Catalog
from ...checkpoints.checkpoint import Checkpoint
from ...grammar import is_yaml, parse
from ...grammar.diagnostics import Diagnostics, SourceText, Span
from ...grammar.recipe_file import read_recipe_file
from ...grammar.syntax import For, Let, Recipe, Save, Statement
from .bound import Bound, BoundExpr, Output, Source, Stage
from .config_differences import warn_of_differences
from .method_files import MethodFiles
from .method_signatures import SIGNATURES
from .model_references import References, named_models
from .model_structure import children
from .modules import Load, Module, load_modules
from .outputs import Outputs
from .statements import Given, StatementBinder
from .terms import Imported

_NO_OVERRIDES: Mapping[str, str] = {}


def load_recipe(path: Path) -> Recipe:
    """The syntax tree of a recipe's file. Raises OSError, UnicodeDecodeError, RecipeError."""
    return parse(SourceText(str(path), read_recipe_file(path)), SIGNATURES)


def bind(
    recipe: Recipe,
    catalog: Catalog,
    *,
    overrides: Mapping[str, str] = _NO_OVERRIDES,
    out: str | None = None,
    load: Load = load_recipe,
    trust: bool = False,
) -> Bound:
    """Resolve everything that a recipe names, and check it; only headers of checkpoints are read.

    catalog: opens checkpoints; its folder is what the recipe's paths are relative to.
    overrides: `param`s by name, each a value in the language's syntax.
    out: the output's path; of several outputs the folder that they go into.
    load: parses an imported recipe. trust: run the files of methods that the recipe uses.
    Raises RecipeError with all errors of the recipe, its imports and its checkpoints (E02xx,
    E03xx, E04xx, E06xx).
    """
    problems = Diagnostics()
    modules = load_modules(recipe, catalog.recipe_folder, load, problems)
    catalog.warm(named_models(recipe), prefer_path=is_yaml(recipe.source))
    references = References(catalog, recipe.source, problems)
    outputs = Outputs(problems)
    files = MethodFiles(references, problems, trust=trust)
    linker = _Linker(references, files, problems)
    settings = linker.bind(modules[-1], {}, overrides, outputs).settings.value
    if not outputs and not (problems.errors and _has_save(recipe.statements)):
        _report_no_output(recipe, problems)
    finished = outputs.finish(catalog.recipe_folder, out, settings.dtype)
    _check_inputs(finished, references, problems)
    warn_of_differences(finished, problems)
    problems.raise_errors()
    sources, stages = _reachable(finished)
    return Bound(
        name=Path(recipe.source.name).name,
        imports=(*(m.recipe.source for m in modules if m.recipe is not recipe), *files.texts),
        outputs=finished,
        settings=settings,
        sources=sources,
        stages=stages,
        warnings=(*(w for m in modules for w in m.recipe.warnings), *problems.warnings),
    )


class _Linker:
    """Binds recipes: one that others import once for all values that its `param`s are given."""

    def __init__(self, references: References, files: MethodFiles, problems: Diagnostics):
        self._references = references
        self._files = files
        self._problems = problems
        self._plain: dict[Module, Imported] = {}

    def bind(
        self,
        module: Module,
        given: Given,
        overrides: Mapping[str, str],
        outputs: Outputs | None = None,
    ) -> StatementBinder:
        binder = StatementBinder(
            module,
            self._imported,
            self._references,
            self._files,
            self._problems,
            overrides=overrides,
            outputs=outputs,
            given=given,
        )
        binder.run()
        return binder

    def _imported(self, module: Module, given: Given, overrides: Mapping[str, str]) -> Imported:
        if not given and not overrides and module in self._plain:
            return self._plain[module]
        names = self.bind(module, given, overrides).names
        imported = Imported(module.recipe.source.name, names)
        if not given and not overrides:
            self._plain[module] = imported
        return imported


def _has_save(statements: Sequence[Statement]) -> bool:
    return any(
        isinstance(statement, Save) or (isinstance(statement, For) and _has_save(statement.body))
        for statement in statements
    )


def _report_no_output(recipe: Recipe, problems: Diagnostics) -> None:
    statements = recipe.statements
    place = statements[-1].span if statements else Span(recipe.source, 0, 0)
    names = [statement.name for statement in statements if isinstance(statement, Let)]
    example = names[-1] if names else "model"
    problems.report(
        "E0212", "this recipe saves nothing", place, hint=f'add `save {example} to "./PATH"`'
    )


def _check_inputs(outputs: Sequence[Output], references: References, problems: Diagnostics) -> None:
    for output in outputs:
        if inside := references.inputs_within(output.path):
            listed = ", ".join(inside)
            message = f"the output {output.path} would overwrite an input: {listed}"
            problems.report("E0505", message, output.span, hint="save to another path")


def _reachable(outputs: Sequence[Output]) -> tuple[dict[str, Checkpoint], tuple[Stage, ...]]:
    """The sources that outputs read, in order of first use, and the stages, inputs first."""
    sources: dict[str, Checkpoint] = {}
    stages: list[Stage] = []
    seen: set[BoundExpr] = set()
    pending: list[tuple[BoundExpr, bool]] = [(output.value, False) for output in reversed(outputs)]
    while pending:
        value, inputs_done = pending.pop()
        if inputs_done and isinstance(value, Stage):
            stages.append(value)
        if inputs_done or value in seen:
            continue
        seen.add(value)
        if isinstance(value, Source):
            _add_source(sources, value)
        pending.append((value, True))
        pending += [(item, False) for item in reversed(children(value))]
    return sources, tuple(stages)


def _add_source(sources: dict[str, Checkpoint], source: Source) -> None:
    """Recipes in two folders may mean two checkpoints by one relative path."""
    name = source.reference
    if name in sources and sources[name].place != source.checkpoint.place:
        name = source.checkpoint.place
    sources.setdefault(name, source.checkpoint)
