"""`moe { … }` -> a Mixture: experts, gate, architecture.

moe {
  base = "org/base"
  gate = hidden
  top_k = 2
  "org/math"  prompts=["solve", "prove"]  negative=["a poem"]
  "org/code"  prompts=["def f(x):"]
  "org/base"  shared=true
}
"""

from __future__ import annotations

from typing import Any, get_args

from ...checkpoints.mixtures.families import FAMILIES, Family, find_family
from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Span, did_you_mean
from ...ops.method import find_method
from .bound import BoundExpr, ByName, Expert, GateKind, Matcher, Merge, MergeInput, Mixture, Source
from .model_structure import first_source
from .recipe_settings import whole_number, word
from .terms import Evaluator, Term, Unknown, describe

_GATES: tuple[str, ...] = get_args(GateKind)
_SETTINGS = ("base", "gate", "top_k", "architecture")
_COLUMNS = ("prompts", "negative", "shared", "residual_scale")
_PROMPTED = ("hidden", "hidden_avg", "cheap_embed")


def bind_mixture(block: syntax.Block, evaluator: Evaluator, problems: Diagnostics) -> Term:
    """The model that a `moe` block makes.

    Reports E0210 (an unknown setting), E0211 (a value that it refuses), E0301 (too few experts),
    E0303 (no base), E0340 (models that make no mixture).
    """
    binder = _MixtureBinder(block, evaluator, problems)
    before = len(problems.errors)
    mixture = binder.mixture()
    return Term("model", mixture if len(problems.errors) == before else None, block.span)


class _MixtureBinder:
    def __init__(self, block: syntax.Block, evaluator: Evaluator, problems: Diagnostics):
        self._block = block
        self._evaluator = evaluator
        self._problems = problems

    def mixture(self) -> Mixture | None:
        settings = {setting.name: setting for setting in self._block.settings}
        for name, setting in settings.items():
            if name not in _SETTINGS:
                self._unknown("moe", setting, _SETTINGS)
        base = self._base(settings.get("base"))
        found = [self._expert(row) for row in self._block.rows]
        experts = [expert for expert, shared in found if expert is not None and not shared]
        several = [expert for expert, shared in found if expert is not None and shared]
        gate = self._gate(settings.get("gate"))
        top_k = self._top_k(settings.get("top_k"), len(experts))
        asked = self._architecture(settings.get("architecture"))
        complete = len(experts) + len(several) == len(found)
        if base is None or gate is None or top_k is None or not complete:
            return None
        family = self._family(base, experts, several, asked)
        if family is None:
            return None
        shared = several[0] if several else None
        self._check_prompts(gate, family, experts, shared)
        return Mixture(base, tuple(experts), shared, gate, top_k, family, self._block.span)

    def _base(self, setting: syntax.Setting | None) -> BoundExpr | None:
        if setting is None:
            hint = 'add `base = "…"`: it gives the attention, the embedding and the head'
            message = "`moe` needs a base model"
            self._problems.report("E0303", message, self._block.name_span, hint=hint)
            return None
        return self._model(setting.value, "the base of `moe`")

    def _model(self, node: syntax.ExprSyntax, what: str) -> BoundExpr | None:
        return self._evaluator.expression(self._evaluator.expect(node, ("model",), what))

    def _expert(self, row: syntax.RowSyntax) -> tuple[Expert | None, bool]:
        """(an expert, whether it is the shared one)."""
        value = self._model(row.value, "an expert of `moe`")
        columns: dict[str, Any] = {}
        for column in row.columns:
            if column.name not in _COLUMNS:
                self._unknown("an expert of `moe`", column, _COLUMNS)
                continue
            columns[column.name] = self._column(column)
        scale = columns.get("residual_scale")
        if value is not None and scale is not None:
            value = _scaled(value, scale, row.span)
        shared = columns.get("shared", False) is True
        if value is None:
            return None, shared
        texts = (columns.get("prompts", ()), columns.get("negative", ()))
        return Expert(value, *texts, row.span), shared

    def _column(self, column: syntax.Setting) -> Any:
        value, place = self._evaluator.evaluate(column.value), column.value.span
        if isinstance(value, Unknown):
            return None
        if column.name in ("prompts", "negative"):
            items = value.items if isinstance(value, syntax.List) else (value,)
            texts = tuple(item.value for item in items if isinstance(item, syntax.String))
            if len(texts) == len(items):
                return texts
            wanted = "a list of strings"
        elif column.name == "shared":
            if isinstance(value, syntax.Boolean):
                return value.value
            wanted = "true or false"
        else:
            if isinstance(value, syntax.Number):
                return float(value.value)
            wanted = "a number"
        message = f"`{column.name}` must be {wanted}, found {describe(value)}"
        self._problems.report("E0211", message, place)
        return None

    def _gate(self, setting: syntax.Setting | None) -> Any:
        if setting is None:
            return "hidden"
        value = self._evaluator.evaluate(setting.value, _GATES)
        if isinstance(value, syntax.Name):
            return word("gate", _GATES, value, setting.value.span, self._problems)
        if isinstance(value, Unknown):
            return None
        found = self._model(setting.value, "a file of gates")
        return found if isinstance(found, Source) else None

    def _top_k(self, setting: syntax.Setting | None, experts: int) -> int | None:
        top_k: int | None = 2
        place = self._block.name_span
        if setting is not None:
            place = setting.value.span
            value = self._evaluator.evaluate(setting.value)
            top_k = whole_number("top_k", value, place, self._problems, least=1)
        if top_k is not None and experts < top_k:
            message = f"`moe` chooses {top_k} experts for each token, and has {experts}"
            hint = "add experts, or choose fewer with `top_k`"
            self._problems.report("E0301", message, place, hint=hint)
            return None
        return top_k

    def _architecture(self, setting: syntax.Setting | None) -> str | None:
        if setting is None:
            return None
        names = tuple(family.name for family in FAMILIES)
        value = self._evaluator.evaluate(setting.value, names)
        return word("architecture", names, value, setting.value.span, self._problems)

    def _family(
        self,
        base: BoundExpr,
        experts: list[Expert],
        shared: list[Expert],
        asked: str | None,
    ) -> Family | None:
        models = [base, *(expert.value for expert in (*experts, *shared))]
        kinds = [str(first_source(m).checkpoint.config.get("model_type")) for m in models]
        gated = any(expert.prompts for expert in shared)
        found = find_family(kinds, len(shared), asked, gated=gated)
        if isinstance(found, Family):
            return found
        message = f"these models make no mixture of experts: {found}"
        self._problems.report("E0340", message, self._block.name_span)
        return None

    def _check_prompts(
        self, gate: GateKind | Source, family: Family, experts: list[Expert], shared: Expert | None
    ) -> None:
        """Gates from prompts need some, and different ones."""
        if gate not in _PROMPTED:
            return
        gated = [*experts, *([shared] if shared and family.shared_gate else [])]
        for expert in gated:
            if not expert.prompts:
                message = f"`gate = {gate}` needs `prompts` for each expert"
                hint = '`prompts=["…"]`: texts that it should take; or `gate = random`'
                self._problems.report("E0340", message, expert.span, hint=hint)
        if len(experts) > 1 and len({(e.prompts, e.negative) for e in experts}) == 1:
            message = "all experts have the same prompts: no gate could tell them apart"
            self._problems.report("E0340", message, self._block.name_span)

    def _unknown(self, where: str, setting: syntax.Setting, known: tuple[str, ...]) -> None:
        hint = did_you_mean(setting.name, known) or f"known are {', '.join(known)}"
        message = f"{where} has no `{setting.name}`"
        self._problems.report("E0210", message, setting.name_span, hint=hint)


def _scaled(value: BoundExpr, scale: float, span: Span) -> BoundExpr:
    """An expert whose contribution is scaled: it goes through `down_proj`."""
    passthrough = find_method("passthrough")
    assert passthrough is not None
    word_, default = syntax.Pattern("word", "down_proj", span), syntax.Pattern("default", "_", span)
    by_name = ByName(((Matcher(word_), scale), (Matcher(default), None)), span)
    row = MergeInput(value, {"scale": by_name}, span)
    return Merge(passthrough, (row,), None, {}, {(0, "scale"): span}, span)
