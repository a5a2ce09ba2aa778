"""An output's `tokenizer` -> a TokenizerSetting: models resolved, values checked.

tokenizer = union
tokenizer = "org/model"
tokenizer = union {
  source = base
  pad_to = 64
  "<|x|>" = "org/model"
  "<|y|>" = force { token { "org/model", name = "<|z|>" } }
  "<|w|>" = zero
}
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, did_you_mean
from .bound import Source, TokenizerSetting, TokenSource
from .expressions import Expressions
from .model_structure import first_source
from .recipe_settings import whole_number
from .terms import Unknown, describe

_WORDS = ("union", "base")
_SETTINGS = ("pad_to", "source")
_TOKEN_SETTINGS = ("name", "id")

Like: TypeAlias = Source | Literal["union", "base"]


class TokenizerBinder:
    """Binds tokenizers; complaints go to `problems`."""

    def __init__(self, expressions: Expressions, problems: Diagnostics):
        self._expressions = expressions
        self._problems = problems

    def tokenizer(self, node: syntax.ExprSyntax) -> TokenizerSetting | None:
        """A model, `union`, `base`, or `union { … }`; None after an error.

        Reports E0204 (not a model), E0210, E0211, E0217
        (settings).
        """
        if not (isinstance(node, syntax.Block) and node.name == "union"):
            like = self._like(node)
            return None if like is None else TokenizerSetting(like, None, {}, node.span)
        for row in node.rows:
            message = "`union` has settings only, no sources"
            hint = 'write `"<|token|>" = model`'
            self._problems.report("E0217", message, row.span, hint=hint)
        like, pad_to = "union", None
        tokens: dict[str, TokenSource] = {}
        for setting in node.settings:
            value = setting.value
            if setting.quoted:
                if (found := self._token(value)) is not None:
                    tokens[setting.name] = found
            elif setting.name == "pad_to":
                evaluated = self._expressions.evaluate(value)
                pad_to = whole_number("pad_to", evaluated, value.span, self._problems, least=1)
            elif setting.name == "source":
                like = self._like(value)
            else:
                self._report_unknown("union", setting, _SETTINGS)
        return None if like is None else TokenizerSetting(like, pad_to, tokens, node.span)

    def _like(self, node: syntax.ExprSyntax) -> Like | None:
        if isinstance(node, syntax.Name) and node.value not in self._expressions.scope:
            if node.value == "union":
                return "union"
            if node.value == "base":
                return "base"
        return self._source(node, "a tokenizer's source")

    def _source(self, node: syntax.ExprSyntax, what: str) -> Source | None:
        """The checkpoint of a model; of a merge the one that gives it its tokenizer."""
        term = self._expressions.expect(node, ("model",), what)
        expr = self._expressions.expression(term)
        return None if expr is None else first_source(expr)

    def _token(self, node: syntax.ExprSyntax) -> TokenSource | None:
        """A model, `zero`, `token { model, name = … }` or `force { … }` around one of these."""
        if isinstance(node, syntax.Block) and node.name in ("force", "token"):
            if len(node.rows) != 1:
                message = f"`{node.name}` takes one model, found {len(node.rows) or 'none'}"
                self._problems.report("E0301", message, node.name_span)
                return None
            if node.name == "force":
                for setting in node.settings:
                    self._report_unknown("force", setting, ())
                inner = self._token(node.rows[0].value)
                return None if inner is None else replace(inner, force=True)
            return self._other_token(node)
        if isinstance(node, syntax.Name) and node.value == "zero":
            return TokenSource(None, None, None, False, node.span)
        source = self._source(node, "a token's source")
        return None if source is None else TokenSource(source, None, None, False, node.span)

    def _other_token(self, block: syntax.Block) -> TokenSource | None:
        source = self._source(block.rows[0].value, "a token's source")
        name: str | None = None
        number: int | None = None
        for setting in [*block.settings, *block.rows[0].columns]:
            value, place = self._expressions.evaluate(setting.value), setting.value.span
            if setting.name == "name":
                if isinstance(value, syntax.String):
                    name = value.value
                elif not isinstance(value, Unknown):
                    message = f"`name` must be a string, found {describe(value)}"
                    self._problems.report("E0211", message, place)
            elif setting.name == "id":
                number = whole_number("id", value, place, self._problems)
            else:
                self._report_unknown("token", setting, _TOKEN_SETTINGS)
        if (name is None) == (number is None):
            message = "`token` needs the token's `name`, or its `id`"
            self._problems.report("E0211", message, block.span)
            return None
        return None if source is None else TokenSource(source, name, number, False, block.span)

    def _report_unknown(self, where: str, setting: syntax.Setting, known: tuple[str, ...]) -> None:
        listed = ", ".join(f"`{name}`" for name in known) or "none"
        hint = did_you_mean(setting.name, known) or f"known settings: {listed}"
        message = f"`{where}` has no setting `{setting.name}`"
        self._problems.report("E0210", message, setting.name_span, hint=hint)
