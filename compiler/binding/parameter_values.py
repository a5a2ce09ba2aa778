"""The columns and settings of a block -> its parameters: names and values checked, complete.

What a block knows is a list of `Parameter`; each has a value for every source (a column) or one
value for the whole block (a setting). A column written as a setting holds for all sources.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ...grammar import for_language, syntax
from ...grammar.diagnostics import Diagnostics, Span, did_you_mean, nearest
from ...ops.parameters import Parameter
from ...ops.parameters import Value as Plain
from .bound import BoundExpr, ByName, Gradient, Matcher, Setting
from .terms import Resolved, Unknown, describe, resolved

Evaluate = Callable[[syntax.ExprSyntax, Collection[str]], Resolved]


@dataclass(frozen=True)
class Parameters:
    """A block's parameters: `columns` of each row, shared `settings`, and where they were written.

    A key of `spans` is a setting's name or (row, column's name). models: of each row the columns
    that are models; None where one isn't known.
    """

    columns: tuple[dict[str, Setting], ...]
    settings: dict[str, Setting]
    spans: dict[str | tuple[int, str], Span]
    models: tuple[dict[str, BoundExpr | None], ...] = ()


@dataclass
class ParameterBinder:
    """Binds the parameters of one block.

    title: what the block is called in messages.
    model: the model that a column's value stands for, by its expression and its name in messages.
    others: further settings that the caller binds itself, such as `base`.
    defaults: defaults that go before a parameter's own.
    """

    block: syntax.Block
    title: str
    parameters: Sequence[Parameter]
    evaluate: Evaluate
    problems: Diagnostics
    others: Collection[str] = ()
    defaults: Mapping[str, Plain] = field(default_factory=dict)
    model: Callable[[syntax.ExprSyntax, str], BoundExpr | None] | None = None

    def bind(self) -> Parameters:
        """Reports E0302 (a required one is missing), E0304 (unknown), E0305 (not a column), and
        what `setting_of` reports."""
        spans: dict[str | tuple[int, str], Span] = {}
        written = self._settings(spans)
        columns = tuple(self._columns(i, row, spans) for i, row in enumerate(self.block.rows))
        models = tuple(self._models(row) for row in self.block.rows)
        for parameter in self.parameters:
            name = parameter.name
            if parameter.kind == "model":
                continue
            if not parameter.per_source:
                if name not in written:
                    written[name] = self._default(parameter, self.block.name_span)
                continue
            absent = [i for i, row in enumerate(columns) if name not in row]
            if name in written:
                for i in absent:
                    columns[i][name] = written[name]
                    spans[i, name] = spans[name]
            elif absent:
                everywhere = len(absent) == len(columns)
                for i in absent:
                    place = self.block.name_span if everywhere else self.block.rows[i].span
                    columns[i][name] = self._default(parameter, place)
        shared = {p.name: written[p.name] for p in self.parameters if not p.per_source}
        return Parameters(columns, shared, spans, models)

    def _settings(self, spans: dict[str | tuple[int, str], Span]) -> dict[str, Setting]:
        written: dict[str, Setting] = {}
        for setting in self.block.settings:
            if setting.name in self.others:
                continue
            if (parameter := self._find(setting)) is None:
                continue
            if parameter.kind == "model":
                self._report_shared(setting)
            else:
                spans[setting.name] = setting.value.span
                written[setting.name] = self._value(parameter, setting)
        return written

    def _columns(
        self, index: int, row: syntax.RowSyntax, spans: dict[str | tuple[int, str], Span]
    ) -> dict[str, Setting]:
        columns: dict[str, Setting] = {}
        for column in row.columns:
            shared = [p.name for p in self.parameters if not p.per_source]
            if column.name in (*shared, *self.others):
                self._report_misplaced(column)
                continue
            if (parameter := self._find(column)) is None or parameter.kind == "model":
                continue
            spans[index, column.name] = column.value.span
            columns[column.name] = self._value(parameter, column)
        return columns

    def _models(self, row: syntax.RowSyntax) -> dict[str, BoundExpr | None]:
        """A row's columns that are models; each source needs one of its own."""
        found: dict[str, BoundExpr | None] = {}
        for parameter in self.parameters:
            if parameter.kind != "model" or self.model is None:
                continue
            name = parameter.name
            column = next((c for c in row.columns if c.name == name), None)
            found[name] = None
            if column is not None:
                what = f"`{name}` of a source of `{self.title}`"
                found[name] = self.model(column.value, what)
            else:
                message = f"each source of `{self.title}` needs a model for `{name}`"
                hint = for_language(
                    row.span,
                    f'add `{name}="…"` after the source',
                    f"add `{name}: …` to the `parameters` of the source",
                )
                self.problems.report("E0302", message, row.span, hint=hint)
        return found

    def _report_shared(self, setting: syntax.Setting) -> None:
        self.problems.report(
            "E0305",
            f"`{setting.name}` is for each source of `{self.title}`, not for all together",
            setting.name_span,
            hint=for_language(
                setting.name_span,
                f"write `{setting.name}=…` after each source",
                f"write `{setting.name}: …` under the `parameters` of each source",
            ),
        )

    def _find(self, setting: syntax.Setting) -> Parameter | None:
        for parameter in self.parameters:
            if parameter.name == setting.name:
                return parameter
        known = [*(parameter.name for parameter in self.parameters), *self.others]
        listed = ", ".join(f"`{name}`" for name in known)
        hint = did_you_mean(setting.name, known) or (f"it has {listed}" if known else None)
        message = f"`{self.title}` has no parameter `{setting.name}`"
        self.problems.report("E0304", message, setting.name_span, hint=hint)
        return None

    def _report_misplaced(self, column: syntax.Setting) -> None:
        self.problems.report(
            "E0305",
            f"`{column.name}` is for the whole `{self.title}`, not for one of its sources",
            column.name_span,
            hint=f"write `{column.name} = …` on a line of its own",
        )

    def _value(self, parameter: Parameter, setting: syntax.Setting) -> Setting:
        value = self.evaluate(setting.value, parameter.choices)
        return setting_of(parameter, value, setting.value.span, self.problems)

    def _default(self, parameter: Parameter, place: Span) -> Setting:
        name = parameter.name
        if name in self.defaults:
            return parameter.normal(self.defaults[name])
        if not parameter.required:
            return parameter.normal(parameter.default)
        each = "each source of " if parameter.per_source else ""
        hint = for_language(
            place,
            f"add `{name}=…` after each source" if parameter.per_source else f"add `{name} = …`",
            f"add `{name}: …` to the `parameters` of {each and 'each source, or of '}the recipe",
        )
        message = f"{each}`{self.title}` needs a value for `{name}`"
        self.problems.report("E0302", message, place, hint=hint)
        return None


def setting_of(
    parameter: Parameter,
    value: Resolved,
    place: Span,
    problems: Diagnostics,
) -> Setting:
    """A value as a parameter's setting: a list is a gradient, a `match` picks by tensor name.

    Reports at `place` E0306 (a value that the parameter refuses), E0307 (a gradient of whole
    numbers) and E0308 (a `match` or a list inside another).
    """
    if isinstance(value, Unknown):
        return None
    if not isinstance(value, syntax.Match):
        return _gradient(parameter, value, place, problems)
    arms = []
    for arm in value.arms:
        inner = _within(arm.value.span, place)
        if isinstance(arm.value, syntax.Match):
            problems.report("E0308", "a `match` can't stand inside a `match`", inner)
            continue
        setting = _gradient(parameter, resolved(arm.value), inner, problems)
        arms.append((Matcher(arm.pattern), setting))
    return ByName(tuple(arms), value.span)


def _gradient(
    parameter: Parameter, value: Resolved, place: Span, problems: Diagnostics
) -> Plain | Gradient:
    if not isinstance(value, syntax.List):
        return _plain(parameter, value, place, problems)
    if parameter.kind not in ("number", "boolean", "choice"):
        problems.report(
            "E0307",
            f"`{parameter.name}` can't be a gradient: it takes {_expected(parameter)}",
            place,
            hint=for_language(place, "a `match`", "a `filter`") + " picks by tensor name",
        )
        return None
    if not value.items:
        problems.report("E0306", f"`{parameter.name}` is given an empty list", place)
        return None
    knots = []
    for item in value.items:
        inner = _within(item.span, place)
        if isinstance(item, syntax.List | syntax.Match):
            message = f"{describe(item)} can't stand inside a gradient"
            problems.report("E0308", message, inner)
            continue
        knots.append(_plain(parameter, resolved(item), inner, problems))
    return Gradient(tuple(knots))


def _plain(parameter: Parameter, value: Resolved, place: Span, problems: Diagnostics) -> Plain:
    found: Plain
    if isinstance(value, syntax.Number | syntax.Boolean | syntax.String | syntax.Name):
        found = value.value
        if isinstance(found, bool) and parameter.switch is not None:
            found = parameter.switch.true if found else parameter.switch.false
        refusal = parameter.refusal(found)
    elif isinstance(value, Unknown):
        return None
    else:
        found, refusal = None, f"must be {_expected(parameter)}"
    if refusal is None:
        return parameter.normal(found)
    shown = describe(value)
    if isinstance(value, syntax.Number):
        shown = f"{value.value}"
    elif isinstance(found, str) and parameter.kind == "choice":
        shown = f"`{found}`"
    near = nearest(found, parameter.choices) if isinstance(found, str) else None
    if (meant := parameter.nearest(found)) is not None:
        near = f"{meant:g}"
    problems.report(
        "E0306",
        f"`{parameter.name}` {refusal}, found {shown}",
        place,
        hint=f"did you mean `{near}`?" if near else None,
    )
    return None


def _expected(parameter: Parameter) -> str:
    if parameter.kind == "choice":
        return f"one of {', '.join(parameter.choices)}"
    return {"number": "a number", "integer": "a whole number"}.get(parameter.kind, "true or false")


def _within(inner: Span, outer: Span) -> Span:
    """The inner place if it's part of the outer one; a value named by `let` stands elsewhere."""
    part = inner.source is outer.source and outer.start <= inner.start and inner.end <= outer.end
    return inner if part else outer
