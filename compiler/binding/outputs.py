"""`save` statements -> Outputs: values, settings, and paths that don't collide."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Label, Span, did_you_mean
from ...ops.dtypes import DType
from ...ops.parameters import REQUIRED, Parameter
from .bound import BoundExpr, ByName, Output
from .expressions import Expressions
from .parameter_values import setting_of
from .recipe_settings import FLOATS, float_type, whole_number
from .terms import Unknown, describe

DEFAULT_SHARD_BYTES = 5_000_000_000
DEFAULT_PATH = "merged"
_SETTINGS = ("dtype", "shard", "config", "tokenizer", "chat_template", "license")
_DTYPE = Parameter("dtype", "choice", False, REQUIRED, choices=FLOATS)
_TOKENIZER_WORDS = ("union", "base")
_TOKEN_BLOCKS = ("token", "force")


@dataclass(frozen=True)
class _Asked:
    dtype: DType | ByName | None = None
    shard_bytes: int = DEFAULT_SHARD_BYTES
    license: str | None = None
    config: BoundExpr | None = None


class Outputs:
    """Collects a recipe's outputs; complaints go to `problems`."""

    def __init__(self, problems: Diagnostics):
        self._problems = problems
        self._found: list[tuple[BoundExpr | None, str | None, _Asked, Span]] = []

    def __len__(self) -> int:
        return len(self._found)

    def save(self, statement: syntax.Save, expressions: Expressions) -> None:
        """Add an output.

        Reports E0204 (not a model), E0208 (not supported yet), E0210 (an unknown setting), E0211 (a
        value that it refuses), E0401 and E0402 (tokenizers and chat templates, not supported yet).
        """
        value = expressions.expression(
            expressions.expect(statement.value, ("model",), "what is saved")
        )
        path, place = None, statement.span
        if statement.path is not None:
            evaluated = expressions.evaluate(statement.path)
            place = statement.path.span
            path = evaluated.value if isinstance(evaluated, syntax.String) else None
            if path is None or not self._accepts(path, place):
                value = None
        asked = _SettingsReader(expressions, self._problems).read(statement.settings)
        self._found.append((value, path, asked, place))

    def finish(
        self, folder: Path, out: str | None, default_dtype: DType | None
    ) -> tuple[Output, ...]:
        """The outputs, with absolute paths: relative ones lie in `folder`.

        out: the path of a lone output; of several the folder that their last components go into.
        Reports E0213 where two outputs collide.
        """
        outputs = []
        for value, path, asked, span in self._found:
            place = self._place(folder, path, out)
            if value is not None:
                dtype = asked.dtype or default_dtype
                shard, license_, config = asked.shard_bytes, asked.license, asked.config
                outputs.append(Output(value, place, dtype, shard, license_, span, config))
        self._check_collisions(outputs)
        return tuple(outputs)

    def _place(self, folder: Path, path: str | None, out: str | None) -> Path:
        if out is not None and len(self) == 1:
            return _absolute(Path(), out)
        if out is not None:
            return _absolute(Path(), out) / Path(path or DEFAULT_PATH).name
        return _absolute(Path(), DEFAULT_PATH) if path is None else _absolute(folder, path)

    def _accepts(self, path: str, place: Span) -> bool:
        name = Path(path).name
        if "://" in path:
            self._problems.report("E0208", "saving to the Hub is not supported yet", place)
        elif not path.strip() or "\0" in path:
            self._problems.report("E0214", "an output needs a path", place)
        elif not name or name == "..":
            self._problems.report("E0214", f"`{path}` can't be the folder of an output", place)
        else:
            return True
        return False

    def _check_collisions(self, outputs: Sequence[Output]) -> None:
        taken: dict[str, Output] = {}
        for output in outputs:
            # Some file systems don't tell `A` from `a`, so nothing may depend on that.
            first = taken.setdefault(str(output.path).casefold(), output)
            if first is not output:
                self._report_collision(output, first)
        for output in taken.values():
            around = (taken.get(str(parent).casefold()) for parent in output.path.parents)
            if outer := next((other for other in around if other is not None), None):
                self._problems.report(
                    "E0213",
                    f"the output {output.path} lies inside another output",
                    output.span,
                    related=(Label(outer.span, "the other"),),
                )

    def _report_collision(self, output: Output, first: Output) -> None:
        but = "" if first.path == output.path else ", but for their letters' case"
        message = f"two outputs have the path {output.path}{but}"
        if first.span == output.span:
            hint = 'put the name of the loop into the path, as in "out-{NAME}"'
            self._problems.report("E0213", message, output.span, hint=hint)
        else:
            related = (Label(first.span, "the first"),)
            self._problems.report("E0213", message, output.span, related=related)


class _SettingsReader:
    """Reads the settings of one `save`."""

    def __init__(self, expressions: Expressions, problems: Diagnostics):
        self._expressions = expressions
        self._problems = problems

    def read(self, settings: Sequence[syntax.Setting]) -> _Asked:
        asked = _Asked()
        for setting in settings:
            value = setting.value
            match setting.name:
                case "dtype":
                    asked = replace(asked, dtype=self._dtype(value))
                case "shard":
                    asked = replace(asked, shard_bytes=self._shard(value))
                case "config":
                    asked = replace(asked, config=self._model(value, "what `config` is taken of"))
                case "license":
                    asked = replace(asked, license=self._string("license", value))
                case "tokenizer":
                    self._tokenizer(value)
                    message = "`tokenizer` is not supported yet"
                    hint = "without it the output has the tokenizer of its base model"
                    self._problems.report("E0401", message, setting.span, hint=hint)
                case "chat_template":
                    if not isinstance(value, syntax.Name):  # a bare word is a template's name
                        self._string("chat_template", value)
                    message = "`chat_template` is not supported yet"
                    self._problems.report("E0402", message, setting.span)
                case _:
                    self._report_unknown("save", setting, _SETTINGS)
        return asked

    def _dtype(self, node: syntax.ExprSyntax) -> DType | ByName | None:
        """One for all tensors, or by tensor name."""
        found = self._expressions.evaluate(node, FLOATS)
        if not isinstance(found, syntax.Match):
            return float_type("dtype", found, node.span, self._problems)
        by_name = setting_of(_DTYPE, found, node.span, self._problems)
        return by_name if isinstance(by_name, ByName) else None

    def _model(self, node: syntax.ExprSyntax, what: str) -> BoundExpr | None:
        return self._expressions.expression(self._expressions.expect(node, ("model",), what))

    def _shard(self, node: syntax.ExprSyntax) -> int:
        value = self._expressions.evaluate(node)
        if isinstance(value, syntax.SizeSyntax) and value.value > 0:
            return value.value
        if not isinstance(value, Unknown):
            found = value.text if isinstance(value, syntax.SizeSyntax) else describe(value)
            message = f"`shard` must be a size above 0, found {found}"
            self._problems.report("E0211", message, node.span, hint="write `5GB` or `512MiB`")
        return DEFAULT_SHARD_BYTES

    def _string(self, name: str, node: syntax.ExprSyntax) -> str | None:
        value = self._expressions.evaluate(node)
        if isinstance(value, syntax.String):
            return value.value
        if not isinstance(value, Unknown):
            message = f"`{name}` must be a string, found {describe(value)}"
            self._problems.report("E0211", message, node.span)
        return None

    def _tokenizer(self, node: syntax.ExprSyntax) -> None:
        """A model, `union`, `base`, or `union { … }`."""
        if not (isinstance(node, syntax.Block) and node.name == "union"):
            self._tokenizer_source(node)
            return
        for row in node.rows:
            message = "`union` has settings only, no sources"
            hint = 'write `"<|token|>" = model`'
            self._problems.report("E0217", message, row.span, hint=hint)
        for setting in node.settings:
            if setting.quoted:
                self._token_source(setting.value)
            elif setting.name == "pad_to":
                value = self._expressions.evaluate(setting.value)
                whole_number("pad_to", value, setting.value.span, self._problems, least=1)
            elif setting.name == "source":
                self._tokenizer_source(setting.value)
            else:
                self._report_unknown("union", setting, ("pad_to", "source"))

    def _tokenizer_source(self, node: syntax.ExprSyntax) -> None:
        word = node.value if isinstance(node, syntax.Name) else None
        if word not in _TOKENIZER_WORDS or word in self._expressions.scope:
            self._expressions.expect(node, ("model",), "a tokenizer's source")

    def _token_source(self, node: syntax.ExprSyntax) -> None:
        """Where a token's embedding comes from: a model, `zero`, or a token of another name."""
        if isinstance(node, syntax.Block) and node.name in _TOKEN_BLOCKS:
            for row in node.rows:
                self._token_source(row.value)
        elif not (isinstance(node, syntax.Name) and node.value == "zero"):
            self._expressions.expect(node, ("model",), "a token's source")

    def _report_unknown(self, where: str, setting: syntax.Setting, known: tuple[str, ...]) -> None:
        listed = ", ".join(f"`{name}`" for name in known)
        hint = did_you_mean(setting.name, known) or f"known settings: {listed}"
        message = f"`{where}` has no setting `{setting.name}`"
        self._problems.report("E0210", message, setting.name_span, hint=hint)


def _absolute(folder: Path, path: str) -> Path:
    return Path(os.path.abspath(folder / os.path.expanduser(path)))
