"""A plan -> the same plan, whose outputs have a card, and the recipe that they were made of.

A card is README.md: metadata that the Hub understands, what was merged and how, the lineage as a
picture, the recipe, the command. It comes from a Jinja template, `card.jinja` or one's own.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..checkpoints.vocabularies.vocabulary import read_from
from ..compiler.binding.bound import Output
from ..compiler.planning.plan import Plan
from ..compiler.planning.planned_output import NewFile, PlannedOutput
from ..compiler.recursion import deep_recursion
from ..grammar.diagnostics import Diagnostic, RecipeError
from ..version import __version__
from ..views.coefficients import coefficients, in_words
from .licences import merged_licence
from .steps import LineageStep, Parent, methods, parents, steps

CARD_NAME = "README.md"
_FENCE = "---"
_MOST_LANGUAGES = 20


@deep_recursion()
def with_cards(plan: Plan, template: Path | None = None) -> Plan:
    """Add a card and the recipe to every output. template: a Jinja file for the card's text.

    Warns (W0640) of licences that need a person. Errors: RecipeError E0641 for a template that
    can't be read or doesn't render.
    """
    text = _template_text(template)
    warnings = list(plan.warnings)
    outputs = []
    for output, planned in zip(plan.bound.outputs, plan.outputs, strict=True):
        facts, problem = card_facts(plan, output)
        if problem is not None:
            warnings.append(Diagnostic("W0640", f"{planned.name}: {problem}", output.span))
        card = _render(text, template, facts).encode()
        outputs.append(_with_files(planned, plan, card, facts))
    return replace(plan, outputs=tuple(outputs), warnings=tuple(warnings))


def card_facts(plan: Plan, output: Output) -> tuple[dict[str, Any], str | None]:
    """What a card's template can say, and what is wrong with the licences, if something is."""
    found = parents(output, plan.request.folder)
    cards = {parent.reference: _metadata(parent) for parent in found}
    licences = {reference: _text(card.get("license")) for reference, card in cards.items()}
    merged = merged_licence(licences)
    licence = output.license or merged.name
    metadata = _card_metadata(found, cards, methods(output), licence)
    facts = {
        "name": output.path.name,
        "metadata": _yaml(metadata),
        "licence": licence,
        "parents": [
            {
                "name": p.reference,
                "hub_id": p.hub_id,
                "revision": p.revision,
                "licence": licences[p.reference],
            }
            for p in found
        ],
        "steps": steps(output),
        "coefficients": _coefficients(plan, output),
        "mermaid": mermaid(steps(output), found),
        "recipe": plan.source.text.rstrip(),
        "language": "yaml" if is_yaml_name(plan.bound.name) else "text",
        "command": command(plan),
        "version": __version__,
    }
    return facts, None if output.license else merged.problem


def _coefficients(plan: Plan, output: Output) -> list[dict[str, Any]]:
    """What the sources of an output's merges give where it isn't the same everywhere, in words."""
    found = coefficients(replace(plan.bound, outputs=(output,)))
    return [
        {
            "stage": item.stage,
            "source": item.source or "all sources",
            "parameter": item.parameter,
            "modules": {row.module: in_words(row) for row in item.rows},
        }
        for item in found
        if len({cell.value for row in item.rows for cell in row.cells}) > 1
    ]


def mermaid(found: Sequence[LineageStep], known: Sequence[Parent]) -> str:
    """The lineage as a Mermaid graph; a parent's box has the first letters of its commit."""
    ids = {step.name: f"s{number}" for number, step in enumerate(found)}
    lines = ["graph TD"]
    for number, parent in enumerate(known):
        ids.setdefault(parent.reference, f"p{number}")
        revision = f"<br/>{parent.revision[:7]}" if parent.revision else ""
        lines.append(f'  {ids[parent.reference]}["{_plain(parent.reference)}{revision}"]')
    for step in found:
        lines.append(f'  {ids[step.name]}("{_plain(step.name)}<br/>{_plain(step.operation)}")')
        for part in step.parts:
            label = f'|"{_plain(part.role)}"|' if part.role else ""
            if part.name in ids:
                lines.append(f"  {ids[part.name]} -->{label} {ids[step.name]}")
    return "\n".join(dict.fromkeys(lines))


def command(plan: Plan) -> str:
    """The command that makes this again."""
    request = plan.request
    words = ["mergec", "run", plan.bound.name]
    for name, value in request.overrides.items():
        words += ["--set", f"{name}={value}"]
    if request.out is not None:
        words += ["--out", request.out]
    if request.optimise != 1:
        words.append(f"-O{request.optimise}")
    return shlex.join(words)


def is_yaml_name(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _with_files(
    planned: PlannedOutput, plan: Plan, card: bytes, facts: Mapping[str, Any]
) -> PlannedOutput:
    recipe = plan.source.text.encode()
    name = "mergekit_config.yml" if is_yaml_name(plan.bound.name) else "recipe.merge"
    card_fact = {"name": CARD_NAME, "sha256": hashlib.sha256(card).hexdigest()}
    taken = {CARD_NAME, name}
    return replace(
        planned,
        files=(
            *(file for file in planned.files if file.name not in taken),
            NewFile(CARD_NAME, card),
            NewFile(name, recipe),
        ),
        facts={
            **planned.facts,
            "card": card_fact,
            "steps": [_plain_step(step) for step in facts["steps"]],
            "coefficients": facts["coefficients"],
        },
    )


def _plain_step(step: LineageStep) -> dict[str, Any]:
    return {
        "name": step.name,
        "operation": step.operation,
        "settings": step.settings,
        "parts": [part._asdict() for part in step.parts],
    }


def _card_metadata(
    found: Sequence[Parent],
    cards: Mapping[str, Mapping[str, Any]],
    used: Sequence[str],
    licence: str | None,
) -> dict[str, Any]:
    """The card's front matter, in the Hub's terms."""
    metadata: dict[str, Any] = {"library_name": "transformers"}
    if hub := list(dict.fromkeys(p.hub_id for p in found if p.hub_id)):
        metadata |= {"base_model": hub, "base_model_relation": "merge"}
    metadata["tags"] = ["merge", "mergec", *used]
    if licence is not None:
        metadata["license"] = licence
    languages = [text for card in cards.values() for text in _texts(card.get("language"))]
    if languages:
        metadata["language"] = list(dict.fromkeys(languages))[:_MOST_LANGUAGES]
    tasks = [task for card in cards.values() if (task := _text(card.get("pipeline_tag")))]
    if tasks:
        metadata["pipeline_tag"] = tasks[0]
    return metadata


def _metadata(parent: Parent) -> dict[str, Any]:
    """The front matter of a parent's card; empty where it has none that can be read."""
    import yaml

    content = read_from(parent.source.checkpoint.store)(CARD_NAME)
    text = "" if content is None else content.decode("utf-8", "replace")
    if not text.startswith(_FENCE):
        return {}
    try:
        # as texts: YAML would read the language `no` as false
        found = yaml.load(text.split(_FENCE, 2)[1], Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _template_text(template: Path | None) -> str:
    if template is None:
        return files(__package__).joinpath("card.jinja").read_text("utf-8")
    try:
        return template.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise RecipeError.of(
            "E0641", f"can't read the card's template {template}: {problem}"
        ) from None


def _render(text: str, template: Path | None, facts: Mapping[str, Any]) -> str:
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    try:
        return environment.from_string(text).render(facts)
    except TemplateError as error:
        known = ", ".join(facts)
        raise RecipeError.of(
            "E0641",
            f"the card's template {template} doesn't render: {error}",
            hint=f"it can use {known}",
        ) from None


def _yaml(content: Mapping[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    return text.rstrip()


def _text(value: object) -> str | None:
    found = value[0] if isinstance(value, list) and value else value
    return found if isinstance(found, str) else None


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def _plain(text: str) -> str:
    """A text that can stand in a Mermaid label."""
    return text.replace('"', "#quot;").replace("<", "#lt;").replace("\n", " ")
