"""`name { … }` -> a model or a delta: merge methods, `stack`, `cast`, `lora` and `rename`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...checkpoints.renames import RenameRule
from ...grammar import for_language, is_yaml, syntax
from ...grammar.diagnostics import Diagnostics, Span, did_you_mean
from ...ops import delta_arithmetic as arithmetic
from ...ops.method import Method, find_method, method_names
from ...ops.parameters import Parameter
from .bound import BoundExpr, Merge, MergeInput, Stack
from .call_checks import check_base, check_count
from .mixtures import bind_mixture
from .parameter_values import ParameterBinder, Parameters
from .terms import Evaluator, ExprKind, Resolved, Term, Unknown, is_value

_SPECIAL = ("stack", "cast", "lora", "rename", "moe")
_LORA_SCALE = Parameter("scale", "number", True, 1.0)


class Blocks:
    """Binds blocks; complaints go to `problems`."""

    def __init__(self, evaluator: Evaluator, problems: Diagnostics):
        self._evaluator = evaluator
        self._problems = problems
        self._counted = True

    def is_block(self, name: str) -> bool:
        """Whether a name is a method's or another block's."""
        return name in _SPECIAL or find_method(name) is not None

    def bind(self, block: syntax.Block, *, counted: bool = True) -> Resolved:
        """The model or delta that a block makes. counted: whether its number of rows is known.

        Reports E0201 (no such method), E0208 (not supported yet), E0301 (the number of sources),
        E0216 (a block that is no model), E0303 and E0322 (a base that is missing or not wanted) and
        what ParameterBinder reports.
        """
        self._counted = counted
        match block.name:
            case "stack":
                return self._stack(block)
            case "cast":
                return self._cast(block)
            case "lora":
                return self._lora(block)
            case "moe":
                return bind_mixture(block, self._evaluator, self._problems)
            case "rename":
                return self._rename(block)
        if (method := find_method(block.name)) is not None:
            return self._merge(block, method)
        if block.name == "union":
            message, hint = "`union` isn't a model", "it's a value of a save's `tokenizer`"
            self._problems.report("E0216", message, block.name_span, hint=hint)
        else:
            message, hint = f"unknown method `{block.name}`", self.suggest(block.name)
            self._problems.report("E0201", message, block.name_span, hint=hint)
        self.bind_rows(block)
        return Unknown(block.span)

    def bind_rows(self, block: syntax.Block) -> None:
        """Look for errors in the sources of a block that can't be bound itself."""
        for row in block.rows:
            self._evaluator.evaluate(row.value)
        for setting in block.settings:
            if setting.name == "base":
                self._evaluator.evaluate(setting.value)

    def suggest(self, name: str) -> str:
        """A hint that names the method or block that a misspelt name stands for."""
        known = [*method_names(), *_SPECIAL]
        return did_you_mean(name, known) or "`mergec methods` lists them"

    def _merge(self, block: syntax.Block, method: Method) -> Term:
        what = f"a source of `{method.name}`"
        inputs = [self._input(row, ("model",), what) for row in block.rows]
        counted = self._check_count(block, *method.sources, "merges", "model")
        base, complete = self._base(block, method)
        yaml = is_yaml(block.span.source)
        has_base = method.base in ("required", "optional")
        parameters = ParameterBinder(
            block if has_base else _without_base(block),
            method.name,
            [parameter for parameter in method.parameters if not parameter.filled],
            self._evaluator.evaluate,
            self._problems,
            others=("base",) if has_base else (),
            model=self._beside,
            defaults=method.yaml if yaml else {},
        ).bind()
        rows = _rows(block, inputs, parameters)
        if rows is None or not complete or not counted:
            return Term("model", None, block.span)
        merge = Merge(method, rows, base, parameters.settings, parameters.spans, block.span)
        return Term("model", merge, block.span)

    def _beside(self, node: syntax.ExprSyntax, what: str) -> BoundExpr | None:
        """The model that a column gives beside a source."""
        return self._evaluator.expression(self._evaluator.expect(node, ("model",), what))

    def _base(self, block: syntax.Block, method: Method) -> tuple[BoundExpr | None, bool]:
        """The base, and whether it's as the method wants it and known."""
        setting = next((s for s in block.settings if s.name == "base"), None)
        base = None
        if setting is not None:
            what = f"the base of `{method.name}`"
            base = self._evaluator.expression(
                self._evaluator.expect(setting.value, ("model",), what)
            )
        place = block.name_span if setting is None else setting.name_span
        how = for_language(place, 'add `base = "…"`', "`base_model: …` names it")
        hints = (how, "source")
        if not check_base(method, setting is not None, self._problems, place, hints):
            return None, False
        return base, setting is None or base is not None

    def _stack(self, block: syntax.Block) -> Term:
        inputs = [self._input(row, ("model",), "a slice of `stack`") for row in block.rows]
        counted = self._check_count(block, 1, None, "joins", "slice")
        passthrough = find_method("passthrough")
        assert passthrough is not None
        parameters = ParameterBinder(
            block, "stack", passthrough.parameters, self._evaluator.evaluate, self._problems
        ).bind()
        rows = _rows(block, inputs, parameters)
        if rows is None or not counted:
            return Term("model", None, block.span)
        parts: list[BoundExpr] = []
        for i, row in enumerate(rows):
            if row.columns["scale"] is None:
                parts.append(row.value)
                continue
            spans: dict[str | tuple[int, str], Span] = {(0, "scale"): parameters.spans[i, "scale"]}
            parts.append(Merge(passthrough, (row,), None, {}, spans, row.span))
        return Term("model", Stack(tuple(parts), block.span), block.span)

    def _cast(self, block: syntax.Block) -> Term:
        terms = [self._term(row, ("model", "delta"), "what is cast") for row in block.rows]
        counted = self._check_count(block, 1, 1, "takes", "model or delta")
        parameters = ParameterBinder(
            block,
            "cast",
            arithmetic.cast.parameters,
            self._evaluator.evaluate,
            self._problems,
        ).bind()
        kind: ExprKind = terms[0].kind if terms else "model"
        rows = _rows(block, [self._evaluator.expression(term) for term in terms], parameters)
        if rows is None or not counted:
            return Term(kind, None, block.span)
        settings, spans = parameters.settings, parameters.spans
        return Term(
            kind, Merge(arithmetic.cast, rows, None, settings, spans, block.span), block.span
        )

    def _lora(self, block: syntax.Block) -> Term:
        """An adapter: a delta, whose scale is kept beside it as that of any delta."""
        sources = [self._evaluator.adapter(row.value) for row in block.rows]
        counted = self._check_count(block, 1, 1, "takes", "adapter")
        ParameterBinder(
            block, "lora", (_LORA_SCALE,), self._evaluator.evaluate, self._problems
        ).bind()
        if not counted or sources[0] is None:
            return Term("delta", None, block.span)
        scale = None
        for given in (*block.rows[0].columns, *block.settings):
            if given.name == "scale" and is_value(value := self._evaluator.evaluate(given.value)):
                scale = value
        return Term("delta", sources[0], block.span, scale)

    def _rename(self, block: syntax.Block) -> Term:
        """A model whose tensors are called otherwise: names and patterns are text as it stands."""
        counted = self._check_count(block, 1, 1, "takes", "model")
        rules = []
        for setting in block.settings:
            if setting.quoted and isinstance(setting.value, syntax.String):
                rules.append(RenameRule(setting.name, setting.value.value))
            else:
                hint = 'such as `"model.language_model.{rest}" = "model.{rest}"`'
                message = "`rename` takes pairs of quoted names"
                self._problems.report("E0333", message, setting.span, hint=hint)
                counted = False
        if not counted:
            return Term("model", None, block.span)
        source = self._evaluator.renamed(block.rows[0].value, tuple(rules), block.span)
        return Term("model", source, block.span)

    def _term(self, row: syntax.RowSyntax, kinds: tuple[ExprKind, ...], what: str) -> Term:
        return self._evaluator.expect(row.value, kinds, what)

    def _input(
        self, row: syntax.RowSyntax, kinds: tuple[ExprKind, ...], what: str
    ) -> BoundExpr | None:
        return self._evaluator.expression(self._term(row, kinds, what))

    def _check_count(
        self, block: syntax.Block, fewest: int, most: int | None, verb: str, noun: str
    ) -> bool:
        if not self._counted:
            return True
        count = len(block.rows)
        extra = most is not None and count > most
        place = block.rows[most].span if extra and most is not None else block.name_span
        bounds, words = (fewest, most), (verb, noun)
        return check_count(block.name, count, bounds, self._problems, words=words, place=place)


def _without_base(block: syntax.Block) -> syntax.Block:
    items = (i for i in block.items if not (isinstance(i, syntax.Setting) and i.name == "base"))
    return replace(block, items=tuple(items))


def _rows(
    block: syntax.Block, inputs: Sequence[BoundExpr | None], parameters: Parameters
) -> tuple[MergeInput, ...] | None:
    """The rows of a block, or None where an input isn't known."""
    rows = []
    rest = zip(inputs, parameters.columns, parameters.models, strict=True)
    for row, (value, columns, beside) in zip(block.rows, rest, strict=True):
        models = {name: model for name, model in beside.items() if model is not None}
        if value is None or len(models) < len(beside):
            return None
        rows.append(MergeInput(value, columns, row.span, models))
    return tuple(rows)
