"""A method and models in a line -> the recipe that says the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..grammar.diagnostics import RecipeError, did_you_mean
from ..grammar.expression_text import number
from ..ops.method import Method, find_method, method_names

_LOCAL = ("./", "../", "/", "~")


def quick_recipe(
    name: str,
    models: Sequence[str],
    *,
    base: str | None,
    parameters: Mapping[str, str],
    path: str,
    settings: Mapping[str, str],
) -> str:
    """The text of a recipe that merges models by one method.

    parameters: by name, each a value in the language's syntax; one a source is a value for all, or
    as many values as there are models, joined by `;`. path: where to save. settings: the save's.
    Errors: RecipeError E0201 (no such method), E0304 (no such parameter), E0301 (as many values).
    """
    method = find_method(name)
    if method is None:
        hint = did_you_mean(name, method_names()) or "`mergec methods` lists them"
        raise RecipeError.of("E0201", f"unknown method `{name}`", hint=hint)
    columns: list[list[str]] = [[] for _ in models]
    lines: list[str] = []
    for key, text in parameters.items():
        if key in {parameter.name for parameter in method.columns}:
            for row, value in zip(columns, _values(key, text, len(models)), strict=True):
                row.append(f"{key}={value}")
        elif key in {parameter.name for parameter in method.settings}:
            lines.append(f"{key} = {text}")
        else:
            raise _unknown(method, key)
    if base is not None:
        lines.insert(0, f"base = {_reference(base)}")
    rows = [" ".join([_reference(model), *row]) for model, row in zip(models, columns, strict=True)]
    body = "\n".join(f"  {line}" for line in (*lines, *rows))
    said = "\n".join(f"  {key} = {value}" for key, value in settings.items())
    save = f" {{\n{said}\n}}" if said else ""
    return f"let merged = {name} {{\n{body}\n}}\nsave merged to {json.dumps(path)}{save}\n"


def asked_for(method: Method) -> list[str]:
    """The parameters of a method that have no default."""
    return [p.name for p in method.parameters if p.required and not p.filled]


def starting_recipe(name: str, models: Sequence[str], base: str | None, path: str) -> str:
    """A recipe to go on with: every parameter of the method, with comments.

    Errors: RecipeError E0201.
    """
    method = find_method(name)
    if method is None:
        hint = did_you_mean(name, method_names()) or "`mergec methods` lists them"
        raise RecipeError.of("E0201", f"unknown method `{name}`", hint=hint)
    share = round(1 / max(len(models), 1), 2)
    lines = [f"# {method.name}: {method.summary}", f"# mergec methods {method.name}", ""]
    lines.append(f"let merged = {method.name} {{")
    if base is not None:
        lines.append(f"  base = {_reference(base)}")
    for model in models:
        columns = [
            f"{p.name}={_start(p.default, share)}"
            for p in method.columns
            if p.kind == "number" and not p.filled
        ]
        lines.append("  " + " ".join([_reference(model), *columns]))
    for parameter in method.settings:
        if parameter.filled or parameter.kind == "model":
            continue
        mark = "" if parameter.required else "# "
        value = _start(None if parameter.required else parameter.default, 0.5)
        lines.append(f"  {mark}{parameter.name} = {value}")
    lines += ["}", "", f"save merged to {json.dumps(path)} {{", "  dtype = bfloat16"]
    lines += ["  # tokenizer = union       # where the models' tokenizers differ", "}"]
    return "\n".join(lines) + "\n"


def _start(default: object, otherwise: float) -> str:
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, (int, float)):
        return number(default)
    return str(default) if isinstance(default, str) else number(otherwise)


def _values(key: str, text: str, count: int) -> list[str]:
    """A value for each model."""
    found = [part.strip() for part in text.split(";")]
    if len(found) == 1:
        return found * count
    if len(found) != count:
        message = f"`{key}` has {len(found)} values for {count} models"
        hint = "give one for all, or one a model, joined by `;`"
        raise RecipeError.of("E0301", message, hint=hint)
    return found


def _reference(text: str) -> str:
    """A model as a recipe names it: a folder that is here is a path."""
    if not text.startswith(_LOCAL) and Path(text).exists():
        text = f"./{text}"
    return json.dumps(text)


def _unknown(method: Method, name: str) -> RecipeError:
    known = [p.name for p in method.parameters if not p.filled]
    hint = did_you_mean(name, known) or f"it takes {', '.join(known) or 'none'}"
    error = RecipeError.of("E0304", f"`{method.name}` has no parameter `{name}`", hint=hint)
    assert isinstance(error, RecipeError)
    return error
