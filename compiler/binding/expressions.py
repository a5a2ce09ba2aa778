"""Expression -> what it stands for: names resolved, arithmetic done, blocks bound."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ...checkpoints.renames import RenameRule
from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, Label, Span, did_you_mean
from ...grammar.patterns import check_pattern
from ...ops.dtypes import DTYPES
from .bound import BoundExpr, Choice, Matcher, Sliced
from .definitions import Function, call
from .functions_of_values import FUNCTIONS, apply_function
from .interpolation import interpolate
from .merge_blocks import Blocks
from .model_arithmetic import COMPARISONS, Arithmetic
from .model_references import References
from .repetition import each_value, interval, listed, unrolled
from .scope import Scope
from .terms import ExprKind, Imported, Meaning, Resolved, Term, Unknown, describe, is_value

_DTYPES = frozenset(dtype.name for dtype in DTYPES)


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
                text = self.interpolated(node.value, node)
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
                return self._block(node)
            case syntax.Conditional():
                return self._conditional(node, words)
            case syntax.Interval():
                return interval(self, node)
            case syntax.Each():
                return each_value(self, node)
            case syntax.FunctionCall():
                return self._call(node)
            case syntax.Placed():
                return self._in_scope(node, words)
            case _:
                return node

    def _in_scope(self, node: syntax.Placed, words: Collection[str]) -> Resolved:
        around, self.scope = self.scope, node.scope
        value = self.evaluate(node.node, words)
        self.scope = around
        return value

    def _block(self, node: syntax.Block) -> Resolved:
        block, known = unrolled(self, node)
        return self._blocks.bind(block, counted=known)

    def _conditional(self, node: syntax.Conditional, words: Collection[str]) -> Resolved:
        condition = self.evaluate(node.condition)
        holds = condition.value if isinstance(condition, syntax.Boolean) else None
        if holds is None and not isinstance(condition, Unknown):
            message = f"a condition is true or false, found {describe(condition)}"
            self.problems.report("E0204", message, node.condition.span)
        # Both are looked at, so that mistakes are found; checkpoints are opened of one.
        opening, results = self.opening, []
        for part, taken in ((node.chosen, holds), (node.other, holds is False)):
            self.opening = opening and bool(taken)
            results.append(self.evaluate(part, words))
        self.opening = opening
        if holds is None:
            return Unknown(node.span)
        return results[0] if holds else results[1]

    def _call(self, node: syntax.FunctionCall) -> Resolved:
        found = self.scope.use(node.name)
        if found is None and "." in node.name:
            found = self._member(syntax.Name(node.name, node.name_span))
        if isinstance(found, Function):
            return call(self, found, node)
        if isinstance(found, Unknown):
            return found
        if found is None and node.name in FUNCTIONS:
            named = [argument for argument in node.arguments if argument.name is not None]
            for argument in named:
                message = f"`{node.name}` takes its arguments by position"
                self.problems.report("E0221", message, argument.span)
            given = [self.evaluate(argument.value) for argument in node.arguments]
            if named:
                return Unknown(node.span)
            return apply_function(node.name, given, node.span, self.problems)
        self._report_no_function(node, found)
        return Unknown(node.span)

    def _report_no_function(self, node: syntax.FunctionCall, found: Meaning | None) -> None:
        if found is not None:
            message = f"`{node.name}` is {describe(found)}, not a function"
            self.problems.report("E0219", message, node.name_span)
            return
        hint = did_you_mean(node.name, (*FUNCTIONS, *self.scope.names()))
        if self._blocks.is_block(node.name):
            hint = f"methods take braces: `{node.name} {{ … }}`"
        self.problems.report(
            "E0219", f"there is no function `{node.name}`", node.name_span, hint=hint
        )

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

    def renamed(
        self, node: syntax.ExprSyntax, rules: tuple[RenameRule, ...], span: Span
    ) -> BoundExpr | None:
        """The model that a string names, its tensors called otherwise. Reports E0204, E0333."""
        value = self.evaluate(node)
        if isinstance(value, syntax.String):
            return self.references.open_renamed(value, rules, span) if self.opening else None
        if not isinstance(value, Unknown):
            message = f"a model to rename is named by a string, found {describe(value)}"
            self.problems.report("E0204", message, node.span)
        return None

    def adapter(self, node: syntax.ExprSyntax) -> BoundExpr | None:
        """The adapter that a string names. Reports E0204 where it is none."""
        value = self.evaluate(node)
        if isinstance(value, syntax.String):
            return self.references.open(value, adapter=True) if self.opening else None
        if not isinstance(value, Unknown):
            message = f"an adapter is a string, found {describe(value)}"
            self.problems.report("E0204", message, node.span)
        return None

    def expression(self, term: Term) -> BoundExpr | None:
        """A term's expression with its scale applied."""
        return self._arithmetic.expression(term)

    def interpolated(self, text: str, node: syntax.String | syntax.Pattern) -> str | None:
        """A text with what stands in braces replaced; None after a report."""
        return interpolate(self, text, node)

    def _name(self, node: syntax.Name, words: Collection[str]) -> Resolved:
        name = node.value
        if name in words:
            return node
        found = self.scope.use(name)
        if found is None and "." in name:
            member = self._member(node)
            if isinstance(member, Imported | Function):
                return self._report_meaning(node, member)
            return member
        if isinstance(found, Imported | Function):
            return self._report_meaning(node, found)
        if found is not None:
            return found
        if name in _DTYPES:
            return node
        self._report_unknown(node, [*self.scope.names(), *words], words)
        return Unknown(node.span)

    def _report_meaning(self, node: syntax.Name, found: Imported | Function) -> Unknown:
        hint = f"write `{node.value}.NAME`"
        if isinstance(found, Function):
            hint = f"a function is called: `{node.value}(…)`"
        message = f"`{node.value}` is {describe(found)}, not a model or a value"
        self.problems.report("E0204", message, node.span, hint=hint)
        return Unknown(node.span)

    def _member(self, node: syntax.Name) -> Meaning:
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
            if member.startswith("_"):
                near = "a name that begins with `_` is known in its own file only"
            message = f"{imported.file} has no `{member}`"
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
        items = [self.evaluate(item, words) for item in node.items]
        return listed(items, node.span, self.problems)

    def _match(self, node: syntax.Match, words: Collection[str]) -> Resolved:
        arms: list[tuple[syntax.Arm, Resolved]] = []
        for arm in node.arms:
            pattern = arm.pattern
            if pattern.kind == "glob":
                pattern = replace(pattern, text=self.interpolated(pattern.text, pattern) or "*")
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
        if any(self._report_path(step) for step in spine):
            return Unknown(node.span)
        hyphenated = [step for step in spine if self._is_hyphenated(step)]
        for step in hyphenated:
            self._report_hyphen(step)
        if hyphenated:
            return Unknown(node.span)
        result = self._side(spine[-1], spine[-1].left)
        for step in reversed(spine):
            result = self._arithmetic.apply(step, result, self._side(step, step.right))
        return result

    def _side(self, step: syntax.Binary, node: syntax.ExprSyntax) -> Resolved:
        """An operand; only where models may stand is a string one."""
        return self.evaluate(node) if step.op in COMPARISONS else self._operand(node)

    def _report_path(self, node: syntax.Binary) -> bool:
        """Whether `org/name` was written without its quotes, which is a division."""
        left, right = _last(node.left), node.right
        if not (isinstance(left, syntax.Name) and isinstance(right, syntax.Name)):
            return False
        tight = left.span.end == node.op_span.start and right.span.start == node.op_span.end
        known = left.value in self.scope or right.value in self.scope
        if node.op != "/" or not tight or known:
            return False
        text = f"{left.value}/{right.value}"
        message, place = (
            f"unknown names `{left.value}` and `{right.value}`",
            left.span.to(right.span),
        )
        hint = f'a model reference is a string: "{text}"'
        self.problems.report("E0202", message, place, hint=hint)
        return True

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
