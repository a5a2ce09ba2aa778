"""What lowering finds out tensor by tensor -> one diagnostic for each place in the recipe.

A merge of a thousand tensors that all lack something is one problem with a list, not a thousand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ...checkpoints.adapters.adapter import Adapter
from ...checkpoints.renames import proposed_rename
from ...grammar import for_language, is_yaml
from ...grammar.diagnostics import Diagnostics, Span, nearest
from ..binding.bound import BoundExpr, ByName, Choice, Matcher, Merge, Mixture, Source, Stage
from ..binding.model_structure import sources_of

_LISTED = 6


class Findings:
    """Collects what is wrong with single tensors."""

    def __init__(self) -> None:
        self._missing: dict[Merge, dict[str, list[str]]] = {}
        self._lacking: dict[Merge, dict[str, Source]] = {}
        self._unadapted: dict[Source, list[str]] = defaultdict(list)
        self._replacing: dict[Source, None] = {}
        self._shapes: dict[Merge, list[str]] = defaultdict(list)
        self._vocabularies: dict[Span, list[int]] = {}
        self._differing: dict[Merge, list[str]] = defaultdict(list)
        self._uncovered: dict[tuple[Span, str], list[str]] = defaultdict(list)
        self._chosen: dict[Choice, dict[str, int | None]] = {}
        self._gateless: dict[Mixture, list[str]] = defaultdict(list)
        self._tried: dict[ByName, dict[str, int | None]] = {}

    def missing(self, merge: Merge, name: str, lacking: Sequence[BoundExpr]) -> None:
        """A merge's input has no such tensor."""
        by_input = self._missing.setdefault(merge, {})
        for expr in lacking:
            by_input.setdefault(_called(expr), []).append(name)
            if isinstance(expr, Source):
                self._lacking.setdefault(merge, {})[_called(expr)] = expr

    def unadapted(self, adapter: Source, name: str) -> None:
        """An adapter has a tensor that its model lacks."""
        self._unadapted[adapter].append(name)

    def replacing(self, adapter: Source) -> None:
        """An adapter that replaces tensors stands where only its deltas count."""
        self._replacing[adapter] = None

    def shapes(self, merge: Merge, name: str, shapes: Sequence[tuple[int, ...]]) -> None:
        """A merge's inputs have different shapes."""
        distinct = " and ".join(str(list(shape)) for shape in dict.fromkeys(shapes))
        self._shapes[merge].append(f"{name}: {distinct}")

    def vocabularies(self, span: Span, sizes: Sequence[int]) -> None:
        """Embeddings or heads have different numbers of rows."""
        self._vocabularies.setdefault(span, sorted(set(sizes)))

    def differing(self, merge: Merge, name: str) -> None:
        """Tensors that aren't of a float type differ, so that none of them can stand for all."""
        self._differing[merge].append(name)

    def gateless(self, mixture: Mixture, name: str) -> None:
        """A file of gates has none of this name."""
        self._gateless[mixture].append(name)

    def uncovered(self, span: Span, what: str, name: str) -> None:
        """No arm of a `match` covers a tensor."""
        self._uncovered[span, what].append(name)

    def tried(self, setting: ByName, name: str, depth: int | None) -> None:
        """A `match` of values was asked for a name, in a model of so many layers."""
        self._tried.setdefault(setting, {})[name] = depth

    def chosen(self, choice: Choice, name: str, depth: int | None) -> None:
        """A `match` of models was asked for a name."""
        self._chosen.setdefault(choice, {})[name] = depth

    def report(self, problems: Diagnostics) -> None:
        """Turn everything found into diagnostics."""
        for adapter, names in self._unadapted.items():
            problems.report(
                "E0329",
                f"the adapter `{adapter.reference}` changes {len(names)} tensors that its model "
                "doesn't have",
                adapter.span,
                notes=(f"such as {names[0]}",),
                hint="it was trained for another model, or with other names",
            )
        for adapter in self._replacing:
            assert isinstance(adapter.checkpoint, Adapter)
            problems.report(
                "E0328",
                f"the adapter `{adapter.reference}` replaces whole tensors, which is no delta",
                adapter.span,
                notes=(f"such as {next(iter(adapter.checkpoint.replaced))}",),
                hint="add it to its model: `model + lora { … }`",
            )
        for merge, by_input in self._missing.items():
            for called, names in by_input.items():
                problems.report(
                    "E0311",
                    f"{called} lacks {_count(names)} that the other inputs of this merge have",
                    merge.span,
                    notes=tuple(_listed(names)),
                    hint=self._rename_hint(merge, called)
                    or "`set missing = copy` takes such tensors from the input that has them, "
                    "`skip` leaves them out"
                    + _beyond_yaml(merge.span),
                )
        for merge, lines in self._shapes.items():
            problems.report(
                "E0318",
                f"the inputs of this merge differ in the shape of {_count(lines)}",
                merge.span,
                notes=tuple(_listed(lines)),
                hint="merged models need one architecture and one vocabulary",
            )
        for place, sizes in self._vocabularies.items():
            counted = " and ".join(f"{size:,}" for size in sizes)
            problems.report(
                "E0405",
                f"the vocabularies of this merge differ: {counted} tokens",
                place,
                hint=for_language(
                    place,
                    "`tokenizer = union` in the `save` keeps all tokens, `tokenizer = base` the "
                    "base's; `--truncate-embeddings` cuts all to the smallest",
                    "`tokenizer_source: union` keeps all tokens, `tokenizer_source: base` the "
                    "base's; `--truncate-embeddings` cuts all to the smallest",
                ),
            )
        for merge, names in self._differing.items():
            problems.report(
                "E0319",
                f"{_count(names)} of whole numbers or flags differ between the inputs",
                merge.span,
                notes=tuple(_listed(names)),
                hint="only tensors of floats can be merged; others must be the same",
            )
        for mixture, names in self._gateless.items():
            problems.report(
                "E0341",
                f"the file of gates lacks {_count(names)}",
                mixture.span,
                notes=tuple(_listed(names)),
                hint="its tensors have the names that they have in the mixture",
            )
        for (span, what), names in self._uncovered.items():
            problems.report(
                "E0324",
                f"no arm gives `{what}` for {_count(names)}",
                span,
                notes=tuple(_listed(names)),
                hint=for_language(
                    span,
                    "add a default arm: `_: …`",
                    "end the list with a `value` without a `filter`, which is the default",
                ),
            )
        self._report_unmatched(problems)

    def _rename_hint(self, merge: Merge, called: str) -> str | None:
        """What makes the names of an input those of another, if they have none in common."""
        source = self._lacking.get(merge, {}).get(called)
        if source is None:
            return None
        for other in sources_of(merge):
            tensors, wanted = source.checkpoint.tensors, other.checkpoint.tensors
            if other is source or tensors.keys() & wanted.keys():
                continue
            shapes = [{n: t.shape for n, t in found.items()} for found in (tensors, wanted)]
            if rule := proposed_rename(*shapes):
                pair = f'"{rule.old}" = "{rule.new}"'
                return f'its names differ: rename {{ "{source.reference}", {pair} }}'
        return None

    def _report_unmatched(self, problems: Diagnostics) -> None:
        for setting, names in self._tried.items():
            _report_arms([matcher for matcher, _ in setting.arms], names, problems)
        for choice, names in self._chosen.items():
            _report_arms([matcher for matcher, _ in choice.arms], names, problems)


def _report_arms(
    matchers: Sequence[Matcher], names: Mapping[str, int | None], problems: Diagnostics
) -> None:
    """Reports arms that match no tensor, and in a `.merge` recipe those that earlier ones hide."""
    left = dict(names)
    for matcher in matchers:
        pattern = matcher.pattern
        yaml = is_yaml(pattern.span.source)
        matched = {name for name, depth in names.items() if matcher.matches(name, depth)}
        if matched and not matched & left.keys() and not yaml and pattern.kind != "default":
            message = f"`{pattern.text}` is never reached: earlier arms match all of its tensors"
            problems.report("W0303", message, pattern.span, hint="move it up, or remove it")
        left = {name: depth for name, depth in left.items() if name not in matched}
        if matched or pattern.kind == "default" or (pattern.optional and not yaml):
            continue
        problems.report(
            "W0105" if yaml else "E0328",
            f"`{pattern.text}` matches none of {len(names)} tensors",
            pattern.span,
            hint=_nearest_pattern(pattern.text, list(names)),
        )


def _nearest_pattern(text: str, names: Sequence[str]) -> str | None:
    """The part of a tensor's name that a pattern which matches nothing most likely stands for."""
    parts = {part for name in names for part in name.split(".") if not part.isdecimal()}
    found = nearest(text.strip("*"), sorted(parts))
    if found is None:
        return f"tensors are called, for example, `{names[0]}`" if names else None
    count = sum(found in name for name in names)
    return f"did you mean `{found}` (matches {count})?"


def _called(expr: BoundExpr) -> str:
    if isinstance(expr, Source):
        return f"`{expr.reference}`"
    return f"stage `{expr.name}`" if isinstance(expr, Stage) else f"the input at {expr.span}"


def _count(items: Sequence[str]) -> str:
    return "1 tensor" if len(items) == 1 else f"{len(items)} tensors"


def _beyond_yaml(span: Span) -> str:
    """What a reader of YAML needs to know of a hint that YAML has no words for."""
    return for_language(
        span, "", "; `mergec convert` makes a recipe of this YAML, where it can be said"
    )


def _listed(items: Sequence[str]) -> list[str]:
    shown = list(items[:_LISTED])
    return [*shown, f"… and {len(items) - _LISTED} more"] if len(items) > _LISTED else shown
