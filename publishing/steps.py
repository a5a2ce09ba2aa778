"""An output's expression -> the steps that made it, inputs first, and what each part gave."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..checkpoints.catalog import asked_revision
from ..compiler.binding.bound import (
    BoundExpr,
    Choice,
    Merge,
    Mixture,
    Output,
    Setting,
    Source,
    Stage,
)
from ..compiler.binding.model_structure import children, sources_of
from ..compiler.binding.stage_selection import output_name
from ..ops.parameters import Parameter
from ..views.stages import operation, setting_text


class Part(NamedTuple):
    """Something that a step is made of: its role (`base`, …), its name, what it gives in words."""

    role: str
    name: str
    gives: str


@dataclass(frozen=True)
class LineageStep:
    """A stage, or an operation within one: what it does, its settings in words, its parts."""

    name: str
    operation: str
    settings: str
    parts: tuple[Part, ...]


class Parent(NamedTuple):
    """A checkpoint that an output is made of.

    hub_id: `org/name` where it is on the Hub. revision: its commit, or what was asked for.
    """

    reference: str
    hub_id: str | None
    revision: str | None
    source: Source


def parents(output: Output, folder: Path) -> list[Parent]:
    """The checkpoints that an output reads, in the order of the recipe, whose folder this is."""
    found = []
    for source in sources_of(output.value):
        reference, checkpoint = source.reference, source.checkpoint
        asked = asked_revision(reference)
        hub_id = reference.split("@")[0] if _is_on_hub(source, folder) else None
        found.append(Parent(reference, hub_id, checkpoint.revision or asked, source))
    return found


def steps(output: Output) -> list[LineageStep]:
    """The steps of an output, inputs first, the last one its own."""
    names: dict[BoundExpr, str] = {}
    found: list[LineageStep] = []
    pending: list[tuple[BoundExpr, str, bool]] = [(output.value, output_name(output), False)]
    while pending:
        expr, name, ready = pending.pop()
        value = expr.value if isinstance(expr, Stage) else expr
        if ready:
            found.append(_step(name, value, names))
            continue
        if expr in names or (isinstance(expr, Source) and expr is not output.value):
            continue
        names[expr] = name
        pending.append((expr, name, True))
        for part in reversed(children(value)):
            inner = part.name if isinstance(part, Stage) else f"{operation(part)} in {name}"
            pending.append((part, inner, False))
    return found


def methods(output: Output) -> list[str]:
    """The operations of an output, each once."""
    return list(dict.fromkeys(step.operation for step in steps(output)))


def _step(name: str, value: BoundExpr, names: Mapping[BoundExpr, str]) -> LineageStep:
    settings, doing = "", "copy" if isinstance(value, Source) else operation(value)
    if isinstance(value, Merge):
        settings = _words(value.method.settings, value.settings)
    elif isinstance(value, Mixture):
        gate = "a file" if isinstance(value.gate, Source) else value.gate
        settings = f"{value.family.name}, gate {gate}, {value.top_k} experts for each token"
    parts = tuple(Part(role, _called(part, names), gives) for role, part, gives in _parts(value))
    return LineageStep(name, doing, settings, parts)


def _called(part: BoundExpr, names: Mapping[BoundExpr, str]) -> str:
    return part.reference if isinstance(part, Source) else names.get(part, operation(part))


def _parts(value: BoundExpr) -> Iterator[tuple[str, BoundExpr, str]]:
    """(role, expression, what it gives)."""
    match value:
        case Source():
            yield "", value, ""
        case Merge():
            if value.base is not None:
                yield "base", value.base, ""
            for row in value.rows:
                yield "", row.value, _words(value.method.columns, row.columns)
                yield from ((name, model, "") for name, model in row.models.items())
        case Choice():
            for matcher, arm in value.arms:
                yield f"for `{matcher.pattern.text or '_'}`", arm, ""
        case Mixture():
            yield "base", value.base, ""
            for number, expert in enumerate(value.experts):
                yield f"expert {number}", expert.value, ", ".join(expert.prompts)
            if value.shared is not None:
                yield "shared expert", value.shared.value, ", ".join(value.shared.prompts)
        case _:
            yield from (("", part, "") for part in children(value))


def _words(parameters: Sequence[Parameter], values: Mapping[str, Setting]) -> str:
    """`name value` of each that is required or isn't the default."""
    said = []
    for parameter in parameters:
        if parameter.kind == "model":
            continue
        value = values[parameter.name]
        if parameter.required or value != parameter.default:
            said.append(f"{parameter.name} {setting_text(value)}")
    return ", ".join(said)


def _is_on_hub(source: Source, folder: Path) -> bool:
    """Whether a reference stands for a repository, and wasn't found to be a path."""
    reference, place = source.reference, source.checkpoint.store.real()
    if reference.count("/") != 1 or reference[0] in "./~" or ":" in reference:
        return False
    return place not in (os.path.realpath(start / reference) for start in (folder, Path()))
