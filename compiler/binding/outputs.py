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
from .bound import BoundExpr, ByName, Mixture, Output, Stage, TemplateSetting, TokenizerSetting
from .expressions import Expressions
from .model_structure import children
from .parameter_values import setting_of
from .recipe_settings import FLOATS, float_type
from .terms import Unknown, describe
from .tokenizer_settings import TokenizerBinder

DEFAULT_SHARD_BYTES = 5_000_000_000
DEFAULT_PATH = "merged"
_SETTINGS = ("dtype", "shard", "config", "tokenizer", "chat_template", "license")
_DTYPE = Parameter("dtype", "choice", False, REQUIRED, choices=FLOATS)


@dataclass(frozen=True)
class _Asked:
    dtype: DType | ByName | None = None
    shard_bytes: int = DEFAULT_SHARD_BYTES
    license: str | None = None
    tokenizer: TokenizerSetting | None = None
    template: TemplateSetting | None = None
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
        value that it refuses), and what TokenizerBinder reports.
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
                self._refuse_inner_mixtures(value)
                dtype = asked.dtype or default_dtype
                outputs.append(
                    Output(
                        value,
                        place,
                        dtype,
                        asked.shard_bytes,
                        asked.license,
                        asked.tokenizer,
                        asked.template,
                        span,
                        asked.config,
                    )
                )
        self._check_collisions(outputs)
        return tuple(outputs)

    def _refuse_inner_mixtures(self, value: BoundExpr) -> None:
        """Only what is saved can be a mixture."""
        inner = value.value if isinstance(value, Stage) else value
        pending = [*children(inner)]
        while pending:
            part = pending.pop()
            if isinstance(part, Mixture):
                message = "a mixture of experts can only be saved, not merged or sliced"
                self._problems.report("E0342", message, part.span)
                return
            pending.extend(children(part))

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
        self._tokenizers = TokenizerBinder(expressions, problems)

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
                    found_tokenizer = self._tokenizers.tokenizer(value)
                    asked = replace(asked, tokenizer=found_tokenizer)
                case "chat_template":
                    asked = replace(asked, template=self._template(value))
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

    def _template(self, node: syntax.ExprSyntax) -> TemplateSetting | None:
        """A bare word is a template's name; a string a path, or the template itself."""
        asked = node.value if isinstance(node, syntax.Name) else self._string("chat_template", node)
        folder = Path(node.span.source.name).parent
        return None if asked is None else TemplateSetting(asked, folder, node.span)

    def _report_unknown(self, where: str, setting: syntax.Setting, known: tuple[str, ...]) -> None:
        listed = ", ".join(f"`{name}`" for name in known)
        hint = did_you_mean(setting.name, known) or f"known settings: {listed}"
        message = f"`{where}` has no setting `{setting.name}`"
        self._problems.report("E0210", message, setting.name_span, hint=hint)


def _absolute(folder: Path, path: str) -> Path:
    return Path(os.path.abspath(folder / os.path.expanduser(path)))
