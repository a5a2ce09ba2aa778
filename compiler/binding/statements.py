"""Statements of one recipe -> its names, settings and outputs, one statement after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Span, did_you_mean
from .bound import Stage
from .definitions import define, same_kind
from .expressions import Expressions
from .interpolation import as_text
from .method_files import MethodFiles
from .model_references import References
from .modules import Module
from .outputs import Outputs
from .overrides import override
from .recipe_settings import RecipeSettings
from .repetition import loop_values
from .scope import Scope
from .terms import Imported, Meaning, Resolved, Term, Unknown, describe, is_value

Given: TypeAlias = Mapping[str, tuple[Resolved, Span]]
"""Values for `param`s, each with the place where an import gives it."""
Link: TypeAlias = Callable[[Module, Given, Mapping[str, str]], Imported]
_NOTHING: Given = {}


class StatementBinder:
    """Binds the statements of one recipe; complaints go to `problems`.

    link: binds an imported recipe with values for its `param`s. overrides: texts for `param`s by
    name, those of imports as `alias.name`. given: values for `param`s, from an importing recipe.
    outputs: where `save`s go; None in an imported recipe, whose `save`s aren't run.
    """

    def __init__(
        self,
        module: Module,
        link: Link,
        references: References,
        files: MethodFiles,
        problems: Diagnostics,
        *,
        overrides: Mapping[str, str],
        outputs: Outputs | None,
        given: Given = _NOTHING,
    ):
        self.settings = RecipeSettings(problems)
        self.names: dict[str, Meaning] = {}
        self._module = module
        self._link = link
        self._given = given
        self._problems = problems
        self._overrides = dict(overrides)
        self._outputs = outputs
        self._files = files
        self._scope = Scope.of(module.recipe.statements)
        self._expressions = Expressions(self._scope, references, problems)

    def run(self) -> None:
        """Bind all statements. Reports E0215 for an override that no `param` has."""
        self._run(self._module.recipe.statements, self._scope, ())
        known = [s.name for s in self._module.recipe.statements if isinstance(s, syntax.Param)]
        for name in self._overrides:
            if "." not in name or name.partition(".")[0] not in self._module.imports:
                self._check_known(name, known, None)
        for name, (_, place) in self._given.items():
            self._check_known(name, known, place)
        if self._outputs is not None:
            self._warn_unused()

    def _check_known(self, name: str, known: Sequence[str], place: Span | None) -> None:
        if name in known:
            return
        hint = did_you_mean(name, known)
        if hint is None and known:
            hint = f"its params: {', '.join(known)}"
        message = f"{self._module.recipe.source.name} has no `param {name}`"
        self._problems.report("E0215", message, place, hint=hint)

    def _run(
        self, statements: Sequence[syntax.Statement], scope: Scope, turn: tuple[str, ...]
    ) -> None:
        """turn: the values of the loops around, as `t=0.5`; none at the top of the recipe."""
        for statement in statements:
            self._expressions.scope = scope
            self._expressions.opening = True
            try:
                self._bind(statement, scope, turn)
            except RecursionError:
                message, hint = "this is nested too deeply", "name parts of it with `let`"
                self._problems.report("E0109", message, statement.span, hint=hint)

    def _bind(self, statement: syntax.Statement, scope: Scope, turn: tuple[str, ...]) -> None:
        match statement:
            case syntax.Let():
                self._let(statement, scope, turn)
            case syntax.For():
                self._for(statement, scope, turn)
            case syntax.Save():
                if self._outputs is not None:
                    self._outputs.save(statement, self._expressions)
            case _ if turn:
                word = type(statement).__name__.lower()
                message = f"`{word}` can't stand inside a `for`"
                self._problems.report("E0209", message, statement.span)
            case syntax.Param():
                self._param(statement, scope)
            case syntax.Set():
                self.settings.set(statement, self._expressions.evaluate)
                if self._outputs is None:
                    message = "this `set` has no effect: only those of the importing recipe count"
                    self._problems.report("W0202", message, statement.span)
            case syntax.Import():
                self._import(statement, scope)
            case syntax.Define():
                self._define(statement, scope)
            case syntax.Use():
                self._use(statement)
            case syntax.Version():
                pass

    def _let(self, statement: syntax.Let, scope: Scope, turn: tuple[str, ...]) -> None:
        self._expressions.opening = statement.name in self._module.needed
        value: Resolved
        if statement.keep:
            message = f"`keep` of `{statement.name}` has no effect yet: there is no cache"
            self._problems.report("W0202", message, statement.span)
            value = self._expressions.expect(
                statement.value, ("model", "delta"), "what `keep` stands after"
            )
        else:
            value = self._expressions.evaluate(statement.value)
        if isinstance(value, Term):
            value = self._stage(statement, value, turn)
        scope.define(statement.name, statement.name_span, value, self._problems)
        if not turn:
            self._export(statement.name, value)

    def _export(self, name: str, value: Meaning) -> None:
        if not name.startswith("_"):
            self.names.setdefault(name, value)

    def _define(self, statement: syntax.Define, scope: Scope) -> None:
        value = define(self._expressions, statement)
        scope.define(statement.name, statement.name_span, value, self._problems)
        self._export(statement.name, value)

    def _use(self, statement: syntax.Use) -> None:
        self._files.use(statement.path)

    def _stage(self, statement: syntax.Let, term: Term, turn: tuple[str, ...]) -> Term:
        """The term under its name. A second name for a stage makes no second stage."""
        value = self._expressions.expression(term)
        if value is None or (isinstance(value, Stage) and not statement.keep):
            return Term(term.kind, value, statement.span)
        name = f"{self._module.prefix}{statement.name}"
        if turn:
            name += f"[{', '.join(turn)}]"
        stage = Stage(name, value, statement.keep, statement.span)
        return Term(term.kind, stage, statement.span)

    def _param(self, statement: syntax.Param, scope: Scope) -> None:
        value = self._expressions.evaluate(statement.value)
        if isinstance(value, Term):
            message = f"a `param` is a value, found {describe(value)}"
            hint = "a string can stand for a model"
            self._problems.report("E0204", message, statement.value.span, hint=hint)
            value = Unknown(statement.value.span)
        text = self._overrides.get(statement.name)
        if text is not None and is_value(value):
            value = override(statement.name, text, value, self._expressions, self._problems)
        elif statement.name in self._given:
            value = self._given_value(statement.name, value)
        scope.define(statement.name, statement.name_span, value, self._problems)
        self._export(statement.name, value)

    def _given_value(self, name: str, default: Resolved) -> Resolved:
        value, place = self._given[name]
        if isinstance(value, Unknown) or isinstance(default, Unknown) or same_kind(default, value):
            return value
        message = f"`{name}` must be {describe(default)}, found {describe(value)}"
        hint = "the default of a `param` fixes its kind"
        self._problems.report("E0218", message, place, hint=hint)
        return default

    def _import(self, statement: syntax.Import, scope: Scope) -> None:
        module = self._module.imports[statement.alias]
        given = {
            setting.name: (self._expressions.evaluate(setting.value), setting.name_span)
            for setting in statement.settings
        }
        prefix = f"{statement.alias}."
        texts = {
            name.removeprefix(prefix): text
            for name, text in self._overrides.items()
            if name.startswith(prefix)
        }
        value = Imported(statement.path.value, None)
        if module is not None:
            value = self._link(module, given, texts)
        scope.define(statement.alias, statement.alias_span, value, self._problems)

    def _for(self, statement: syntax.For, scope: Scope, turn: tuple[str, ...]) -> None:
        values = loop_values(self._expressions, statement.values)
        for number, value in enumerate(values or ()):
            inner = scope.inner()
            inner.define(statement.name, statement.name_span, value, self._problems)
            label = as_text(value) or str(number)
            self._run(statement.body, inner, (*turn, f"{statement.name}={label}"))

    def _warn_unused(self) -> None:
        for name, span in self._scope.unused():
            self._problems.report("W0201", f"`{name}` is never used", span)
