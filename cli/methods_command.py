"""`mergec methods`: what merge methods there are, and what each takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ..compiler.binding.method_files import use_methods
from ..compiler.graph.graph_text import value_text
from ..grammar.diagnostics import RecipeError, did_you_mean
from ..ops.method import Method, find_method, method_names
from ..ops.parameters import Parameter
from ..views.columns import table
from .completion import complete_methods
from .language_words import WORDS
from .shared_options import json_option, trust_option, use_option

FORMAT_VERSION = 1
_BASE = {
    "required": "required",
    "optional": "optional",
    "unused": "none",
    "first": "none; the first source takes its part",
}


@click.command("methods")
@click.argument("name", required=False, shell_complete=complete_methods)
@use_option
@trust_option
@json_option
def command(name: str | None, method_files: tuple[str, ...], trust: bool, as_json: bool) -> None:
    """List the merge methods, or document one, or a word of the language: stack, cast, match.

    docs/language.md has the whole language.

    \b
    mergec methods
    mergec methods ties
    mergec methods stack
    mergec methods --use my_methods.py --trust
    """
    for file in method_files:
        use_methods(Path(file), trust=trust)
    if name is not None and name in WORDS and not as_json:
        click.echo(WORDS[name])
        return
    names = method_names() if name is None else (name,)
    methods = [_find(known) for known in names]
    if as_json:
        document = [_facts(method) for method in methods]
        click.echo(json.dumps({"format_version": FORMAT_VERSION, "methods": document}, indent=2))
    elif name is None:
        width = max(len(method.name) for method in methods)
        for method in methods:
            click.echo(f"{method.name:<{width}}  {method.summary}")
    else:
        for line in _page(methods[0]):
            click.echo(line)


def _find(name: str) -> Method:
    method = find_method(name)
    if method is None:
        known = (*method_names(), *WORDS)
        hint = did_you_mean(name, known) or "`mergec methods` lists them"
        raise RecipeError.of("E0201", f"unknown method `{name}`", hint=hint)
    return method


def _page(method: Method) -> Iterator[str]:
    yield _signature(method)
    yield ""
    yield method.documentation
    yield ""
    yield f"Sources     {_sources(method)}"
    yield f"Base        {_BASE[method.base]}"
    for title, parameters in (("Columns", method.columns), ("Settings", method.settings)):
        if parameters:
            yield ""
            head = (f"{title}", "kind", "bounds", "default", "YAML's default")
            yield from table([head, *(_row(method, parameter) for parameter in parameters)])


def _signature(method: Method) -> str:
    """The method as a recipe writes it; `=…` is a parameter that must be given."""
    base = {"required": ["base = …"], "optional": ["[base = …]"]}.get(method.base, [])
    columns = " ".join(f"{p.name}={_default(p) or '…'}" for p in method.columns)
    settings = [f"{p.name} = {_default(p) or '…'}" for p in method.settings]
    fewest, most = method.sources
    source = f'"model" {columns}'.strip()
    sources = [source] * (most or fewest) + ([] if most else ["…"])
    return f"{method.name} {{ {', '.join([*base, *sources, *settings])} }}"


def _sources(method: Method) -> str:
    fewest, most = method.sources
    if most is None:
        return f"{fewest} or more"
    return f"{fewest}" if fewest == most else f"{fewest} to {most}"


def _row(method: Method, parameter: Parameter) -> tuple[str, ...]:
    yaml = value_text(method.yaml[parameter.name]) if parameter.name in method.yaml else ""
    given = "must be given" if parameter.required else "must be given; may lack tensors"
    return (f"  {parameter.name}", *_kind(parameter), _default(parameter) or given, yaml)


def _kind(parameter: Parameter) -> tuple[str, str]:
    if parameter.kind == "choice":
        return "choice", " | ".join(parameter.choices)
    bounds = parameter.bounds
    unbounded = bounds.low is None and bounds.high is None
    return parameter.kind, "" if unbounded else str(bounds)


def _default(parameter: Parameter) -> str | None:
    return None if _must_be_given(parameter) else value_text(parameter.default)


def _must_be_given(parameter: Parameter) -> bool:
    """Whether a recipe must give it; of a model that isn't `required` some tensors may lack."""
    return parameter.required or parameter.kind == "model"


def _facts(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.summary,
        "documentation": method.documentation,
        "base": method.base,
        "sources": {"fewest": method.sources[0], "most": method.sources[1]},
        "random": method.random,
        "parameters": [
            {
                "name": p.name,
                "kind": p.kind,
                "per_source": p.per_source,
                "required": _must_be_given(p),
                "default": None if _must_be_given(p) else p.default,
                "low": p.bounds.low,
                "high": p.bounds.high,
                "choices": list(p.choices),
            }
            for p in method.parameters
            if not p.filled
        ],
    }
