"""Recipes: `.merge` text or mergekit YAML -> syntax tree -> canonical text, with spans and errors.

Neither lark nor yaml is imported before the first recipe of its kind is parsed.
"""

from __future__ import annotations

from .diagnostics import (
    CheckpointError,
    Diagnostic,
    Diagnostics,
    MergecError,
    RecipeError,
    ResourceError,
    RunError,
    SourceText,
    Span,
)
from .formatter import format_recipe
from .signature import Signature, Signatures
from .syntax import Recipe
from .yaml_options import AS_WRITTEN, YamlOptions

__all__ = [
    "AS_WRITTEN",
    "CheckpointError",
    "Diagnostic",
    "Diagnostics",
    "MergecError",
    "Recipe",
    "RecipeError",
    "ResourceError",
    "RunError",
    "Signature",
    "Signatures",
    "SourceText",
    "Span",
    "YamlOptions",
    "for_language",
    "format_recipe",
    "is_yaml",
    "parse",
    "parse_text",
    "parse_yaml",
]


def is_yaml(source: SourceText) -> bool:
    """Whether a recipe's name says that it's YAML rather than `.merge` text."""
    return source.name.lower().endswith((".yaml", ".yml"))


def for_language(place: Span, merge: str, yaml: str) -> str:
    """The words of a hint in the language that a place is written in."""
    return yaml if is_yaml(place.source) else merge


def parse(source: SourceText, signatures: Signatures, options: YamlOptions = AS_WRITTEN) -> Recipe:
    """The syntax tree of a recipe in either language, chosen by the suffix of its name.

    Raises RecipeError with all syntax errors of the text.
    """
    return parse_yaml(source, signatures, options) if is_yaml(source) else parse_text(source)


def parse_text(source: SourceText) -> Recipe:
    """The syntax tree of a `.merge` recipe. Raises RecipeError with all its syntax errors."""
    from . import text

    return text.parse_text(source)


def parse_yaml(
    source: SourceText, signatures: Signatures, options: YamlOptions = AS_WRITTEN
) -> Recipe:
    """The syntax tree of a recipe in mergekit's YAML. Raises RecipeError with all its errors."""
    from . import yaml_recipe

    return yaml_recipe.parse_yaml(source, signatures, options)
