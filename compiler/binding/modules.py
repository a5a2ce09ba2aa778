"""Recipe -> the recipes that it is made of: imports followed, and which of their names it needs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Label, RecipeError, Span
from ...grammar.syntax import Recipe

Load = Callable[[Path], Recipe]


@dataclass(eq=False)
class Module:
    """A recipe of the program.

    prefix: what its stages' names begin with, seen from the main recipe (`m14.`).
    imports: by alias; None where a recipe couldn't be loaded.
    needed: the names that outputs depend on; the checkpoints of all others aren't opened.
    """

    recipe: Recipe
    prefix: str
    imports: dict[str, Module | None] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)


def load_modules(recipe: Recipe, folder: Path, load: Load, problems: Diagnostics) -> list[Module]:
    """The recipe and all that it imports, each once, imported ones first.

    Reports E0205 (a cycle of imports), E0206 (a file that can't be read), and the errors of the
    imported files themselves.
    """
    loader = _Loader(load, problems)
    loader.visit(recipe, folder, os.path.realpath(recipe.source.name), "")
    _find_needed(loader.modules)
    return loader.modules


class _Loader:
    def __init__(self, load: Load, problems: Diagnostics):
        self._load = load
        self._problems = problems
        self._known: dict[str, Module | None] = {}
        self._open: dict[str, Span | None] = {}  # the files being visited, outermost first
        self.modules: list[Module] = []

    def visit(
        self, recipe: Recipe, folder: Path, identity: str, prefix: str, place: Span | None = None
    ) -> Module:
        module = Module(recipe, prefix)
        self._open[identity] = place
        for statement in recipe.statements:
            if isinstance(statement, syntax.Import):
                module.imports[statement.alias] = self._import(statement, folder, prefix)
        del self._open[identity]
        self._known[identity] = module
        self.modules.append(module)
        return module

    def _import(self, statement: syntax.Import, folder: Path, prefix: str) -> Module | None:
        place = statement.path.span
        path = folder / os.path.expanduser(statement.path.value.replace("\0", "\ufffd"))
        identity = os.path.realpath(path)
        if identity in self._open:
            self._report_cycle(identity, place)
            return None
        if identity not in self._known:
            self._known[identity] = None
            if (recipe := self._read(path, statement)) is not None:
                inner = f"{prefix}{statement.alias}."
                return self.visit(recipe, path.parent, identity, inner, place)
        return self._known[identity]

    def _read(self, path: Path, statement: syntax.Import) -> Recipe | None:
        try:
            return self._load(path)
        except RecipeError as error:
            self._problems.items += error.diagnostics
            return None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
        except UnicodeDecodeError:
            reason = "it isn't a text file"
        message = f"can't import `{statement.path.value}`: {reason}"
        self._problems.report(
            "E0206",
            message,
            statement.path.span,
            hint="the path is relative to the recipe's own folder",
            notes=(f"looked for {path}",),
        )
        return None

    def _report_cycle(self, identity: str, place: Span) -> None:
        chain = list(self._open)
        loop = chain[chain.index(identity) :]
        steps = [self._open[name] for name in loop[1:]]
        names = [os.path.basename(name) for name in [*loop, identity]]
        self._problems.report(
            "E0205",
            f"imports go in a circle: {' → '.join(names)}",
            place,
            related=tuple(Label(step, "imported here") for step in steps if step is not None),
        )


def _find_needed(modules: Sequence[Module]) -> None:
    """Fills `needed`, from the main recipe (the last module) to those that it imports."""
    for module in reversed(modules):
        main = module is modules[-1]
        _walk_back(module, module.recipe.statements, main)


def _walk_back(module: Module, statements: Sequence[syntax.Statement], main: bool) -> None:
    for statement in reversed(statements):
        match statement:
            case syntax.Let() if statement.name in module.needed:
                _need(module, statement.value)
            case syntax.Save() if main:
                _need(module, statement)
            case syntax.For():
                _walk_back(module, statement.body, main)
                _need(module, statement.values)
            case syntax.Define() if statement.name in module.needed:
                _need(module, statement)
            case syntax.Import():
                _need(module, statement.settings)
            case _:
                pass


def _need(module: Module, node: object) -> None:
    for name in _names_in(node):
        alias, _, member = name.partition(".")
        imported = module.imports.get(alias)
        if imported is not None:
            imported.needed.add(member)
        else:
            module.needed.add(name)


def _names_in(node: object) -> Iterator[str]:
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, tuple):
            pending += node
        elif isinstance(node, syntax.Name):
            yield node.value
        elif isinstance(node, syntax.FunctionCall):
            yield node.name
            pending += node.arguments
        elif dataclasses.is_dataclass(node):
            pending += [getattr(node, f.name) for f in dataclasses.fields(node) if f.compare]
