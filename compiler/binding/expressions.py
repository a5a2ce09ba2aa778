"""Expression -> what it stands for: names resolved, arithmetic done, blocks bound."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from ...grammar import is_yaml, syntax
from ...grammar.diagnostics import Diagnostics, Label, did_you_mean
from ...grammar.patterns import check_pattern
from ...ops.dtypes import DTYPES
from .bound import BoundExpr, Choice, Matcher, Sliced
from .merge_blocks import Blocks
from .model_arithmetic import Arithmetic
from .model_references import References
from .scope import Scope
from .terms import ExprKind, Imported, Resolved, Term, Unknown, describe, is_value

_DTYPES = frozenset(dtype.name for dtype in DTYPES)
# Double braces are left alone: they belong to templates, not to us.
_INTERPOLATED = re.compile(r"(?<!\{)\{([A-Za-z_][A-Za-z0-9_]*)\}(?!\})")


class Expressions:
    """Evaluates the expressions of one recipe in its current scope.

    opening: whether references are opened; they aren't where no output needs them.
    """

    def __init__(self, scope: Scope, references: References, problems: Diagnostics):
        self.scope = scope
        self.opening = True
        self.references = references
        self.problems = problems
        self._arithmetic = Arithmetic(problems)
        self._blocks = Blocks(self, problems)

    def evaluate(self, node: syntax.ExprSyntax, words: Collection[str] = ()) -> Resolved:
        """What an expression stands for. `words`: names that mean themselves where it stands.

        Reports E0202 (an unknown name), E0204 (kinds that don't go together), E0207 (an unknown
        name in a string) and what blocks report.
        """
        match node:
            case syntax.String():
                text = self._interpolate(node.value, node)
                return Unknown(node.span) if text is None else replace(node, value=text)
            case syntax.Name():
                return self._name(node, words)
            case syntax.List():
                return self._list(node, words)
            case syntax.Match():
                return self._match(node, words)
            case syntax.Negate():
                return self._arithmetic.negate(self._operand(node.operand), node)
            case syntax.Binary():
                return self._binary(node)
            case syntax.Slice():
                return self._slice(node)
            case syntax.Block():
                return self._blocks.bind(node)
            case _:
                return node

    def expect(self, node: syntax.ExprSyntax, kinds: tuple[ExprKind, ...], what: str) -> Term:
        """The model or delta that an expression stands for; a string is a model's reference.

        Reports E0204 where it is none of `kinds`; `what` names its place in the message.
        """
        value = self.evaluate(node)
        if isinstance(value, Unknown):
            return Term(kinds[0], None, node.span)
        term = self._as_term(value)
        if term is None or term.kind not in kinds:
            found = describe(value)
            hint = None
            if term is not None and term.kind == "delta":
                found, hint = "a delta", "add it to a model: `base + delta`"
            message = f"{what} must be a {' or a '.join(kinds)}, found {found}"
            self.problems.report("E0204", message, node.span, hint=hint)
            return Term(kinds[0], None, node.span)
        return term

    def expression(self, term: Term) -> BoundExpr | None:
        """A term's expression with its scale applied."""
        return self._arithmetic.expression(term)

    def as_text(self, value: Resolved | Imported) -> str | None:
        """A value as `{NAME}` puts it into a string; None if it has no text."""
        match value:
            case syntax.Number():
                return repr(value.value).removesuffix(".0")
            case syntax.Boolean():
                return "true" if value.value else "false"
            case syntax.String() | syntax.Name():
                return value.value
            case syntax.SizeSyntax():
                return value.text
            case _:
                return None

    def _interpolate(self, text: str, node: syntax.String | syntax.Pattern) -> str | None:
        """The text with names in braces replaced; None where one of them has no text."""
        if "{" not in text or is_yaml(node.span.source):
            return text
        texts = {n: self._interpolated(n, node) for n in dict.fromkeys(_INTERPOLATED.findall(text))}
        if None in texts.values():
            return None
        return _INTERPOLATED.sub(lambda found: texts[found[1]] or "", text)

    def _interpolated(self, name: str, node: syntax.String | syntax.Pattern) -> str | None:
        value = self.scope.use(name)
        text = None if value is None else self.as_text(value)
        if value is None:
            message = f"this string names `{name}` in braces, which isn't defined"
            hint = did_you_mean(name, self.scope.names())
            self.problems.report("E0207", message, node.span, hint=hint)
        elif text is None and not isinstance(value, Unknown):
            message = f"`{name}` is {describe(value)}, which can't be put into a string"
            self.problems.report("E0207", message, node.span)
        return text

    def _name(self, node: syntax.Name, words: Collection[str]) -> Resolved:
        name = node.value
        if name in words:
            return node
        found = self.scope.use(name)
        if found is None and "." in name:
            return self._member(node)
        if isinstance(found, Imported):
            message = f"`{name}` is an import, not a model or a value"
            self.problems.report("E0204", message, node.span, hint=f"write `{name}.NAME`")
            return Unknown(node.span)
        if found is not None:
            return found
        if name in _DTYPES:
            return node
        self._report_unknown(node, [*self.scope.names(), *words], words)
        return Unknown(node.span)

    def _member(self, node: syntax.Name) -> Resolved:
        alias, _, member = node.value.partition(".")
        imported = self.scope.use(alias)
        if imported is None:
            self._report_unknown(node, self.scope.names())
        elif not isinstance(imported, Imported):
            if not isinstance(imported, Unknown):
                message = f"`{alias}` is {describe(imported)}, which has no names of its own"
                self.problems.report("E0204", message, node.span)
        elif imported.names is not None:
            if member in imported.names:
                return imported.names[member]
            near = did_you_mean(member, imported.names)
            message = f"{imported.file} has no `let {member}`"
            self.problems.report("E0202", message, node.span, hint=near)
        return Unknown(node.span)

    def _report_unknown(
        self, node: syntax.Name, known: Collection[str], words: Collection[str] = ()
    ) -> None:
        name, there = node.value, self.scope.elsewhere(node.value)
        if there is not None:
            message = f"`{name}` is used before it is defined"
            if there.statement.start <= node.span.start < there.statement.end:
                message = f"`{name}` is used in its own definition"
            elif there.in_loop and there.span.start < node.span.start:
                message = f"`{name}` is known only inside its `for`"
            related = (Label(there.span, "defined here"),)
            self.problems.report("E0202", message, node.span, related=related)
            return
        hint = did_you_mean(node.value, known)
        if hint is None and words:
            hint = f"expected one of {', '.join(words)}"
        self.problems.report("E0202", f"unknown name `{node.value}`", node.span, hint=hint)

    def _list(self, node: syntax.List, words: Collection[str]) -> Resolved:
        items = []
        for item in node.items:
            value = self.evaluate(item, words)
            if isinstance(value, Term):
                message = f"a list holds values, found {describe(value)}"
                self.problems.report("E0204", message, item.span)
            items.append(value)
        values = [item for item in items if is_value(item)]
        if len(values) < len(items):
            return Unknown(node.span)
        return replace(node, items=tuple(values))

    def _match(self, node: syntax.Match, words: Collection[str]) -> Resolved:
        arms: list[tuple[syntax.Arm, Resolved]] = []
        for arm in node.arms:
            pattern = arm.pattern
            if pattern.kind == "glob":
                pattern = replace(pattern, text=self._interpolate(pattern.text, pattern) or "*")
                if (problem := check_pattern(pattern)) is not None:
                    hint = "`mergec explain E0125` shows what a pattern may hold"
                    self.problems.report("E0125", problem, pattern.span, hint=hint)
                    pattern = replace(pattern, text="*")
            arms.append((replace(arm, pattern=pattern), self.evaluate(arm.value, words)))
        if any(isinstance(value, Unknown) for _, value in arms):
            return Unknown(node.span)
        if any(isinstance(value, Term) for _, value in arms):
            return self._choice(arms, node)
        values = tuple(replace(arm, value=value) for arm, value in arms if is_value(value))
        return replace(node, arms=values)

    def _choice(
        self, arms: list[tuple[syntax.Arm, Resolved]], node: syntax.Match
    ) -> Term | Unknown:
        """A match whose arms are models, or all deltas."""
        terms: list[Term] = []
        for arm, value in arms:
            term = self._as_term(value)
            first = terms[0].kind if terms else "model"
            if term is None or (terms and term.kind != first):
                message = f"the arms of a `match` must be of one kind, found {describe(value)}"
                expected = f"another arm is a {first}"
                self.problems.report("E0204", message, arm.value.span, hint=expected)
                return Unknown(node.span)
            terms.append(term)
        chosen: list[tuple[Matcher, BoundExpr]] = []
        for (arm, _), term in zip(arms, terms, strict=True):
            if (expr := self.expression(term)) is None:
                return Term(terms[0].kind, None, node.span)
            chosen.append((Matcher(arm.pattern), expr))
        return Term(terms[0].kind, Choice(tuple(chosen), node.span), node.span)

    def _as_term(self, value: Resolved) -> Term | None:
        """A value where a model is expected: a string is a reference. None if it can't be one."""
        match value:
            case Term():
                return value
            case syntax.String():
                source = self.references.open(value) if self.opening else None
                return Term("model", source, value.span)
            case syntax.Match() if value.arms and all(
                isinstance(arm.value, syntax.String) for arm in value.arms
            ):
                arms = [(arm, arm.value) for arm in value.arms if is_value(arm.value)]
                choice = self._choice([*arms], value)
                return choice if isinstance(choice, Term) else None
            case _:
                return None

    def _operand(self, node: syntax.ExprSyntax) -> Resolved:
        """An operand: strings are models there, numbers and lists stay values."""
        value = self.evaluate(node)
        return value if isinstance(value, Unknown) else self._as_term(value) or value

    def _binary(self, node: syntax.Binary) -> Resolved:
        # A long sum leans to the left: going down it in a loop keeps the stack flat.
        spine = [node]
        while isinstance(spine[-1].left, syntax.Binary):
            spine.append(spine[-1].left)
        hyphenated = [step for step in spine if self._is_hyphenated(step)]
        for step in hyphenated:
            self._report_hyphen(step)
        if hyphenated:
            return Unknown(node.span)
        result = self._operand(spine[-1].left)
        for step in reversed(spine):
            result = self._arithmetic.apply(step, result, self._operand(step.right))
        return result

    def _is_hyphenated(self, node: syntax.Binary) -> bool:
        """Whether `dare-ties { … }` was written for `dare_ties { … }`, which is a subtraction."""
        word, block = _last(node.left), node.right
        return (
            node.op == "-"
            and isinstance(word, syntax.Name)
            and isinstance(block, syntax.Block)
            and word.value not in self.scope
            and word.span.start + len(word.value) == node.op_span.start
            and node.op_span.end == block.span.start
        )

    def _report_hyphen(self, node: syntax.Binary) -> None:
        word, block = _last(node.left), node.right
        assert isinstance(word, syntax.Name) and isinstance(block, syntax.Block)
        self.problems.report(
            "E0201",
            f"unknown method `{word.value}`",
            word.span,
            label="in mergec `-` subtracts models",
            hint=self._blocks.suggest(f"{word.value}_{block.name}"),
        )
        self._blocks.bind_rows(block)

    def _slice(self, node: syntax.Slice) -> Resolved:
        term = self.expect(node.operand, ("model", "delta"), "what layers are taken of")
        start, stop = self._layer(node.start), self._layer(node.stop)
        if start is not None and stop is not None and start >= stop:
            message = f"layers {start} up to {stop} are none"
            self.problems.report(
                "E0326", message, node.span, hint="a range is half-open: `[0:32]` is 32 layers"
            )
        value = self.expression(term)
        sliced = None if value is None else Sliced(value, start, stop, node.span)
        return Term(term.kind, sliced, node.span)

    def _layer(self, node: syntax.ExprSyntax | None) -> int | None:
        if node is None or isinstance(value := self.evaluate(node), Unknown):
            return None
        if isinstance(value, syntax.Number) and value.value == value.value // 1 >= 0:
            return int(value.value)
        shown = value.value if isinstance(value, syntax.Number) else describe(value)
        message = f"a layer is a whole number from 0, found {shown}"
        self.problems.report("E0326", message, node.span)
        return None


def _last(node: syntax.ExprSyntax) -> syntax.ExprSyntax:
    """The last operand of a chain of operators, which stands just before what follows."""
    while isinstance(node, syntax.Binary | syntax.Negate):
        node = node.right if isinstance(node, syntax.Binary) else node.operand
    return node
