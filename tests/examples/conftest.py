"""A `--models` mirror in which every model that an example names exists, small."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mergec.compiler.binding.method_signatures import SIGNATURES
from mergec.grammar import SourceText, parse
from mergec.grammar.syntax import Import, String
from support.checkpoints import tiny_mistral

EXAMPLES = Path(__file__).parents[2] / "examples"
RECIPES = sorted([*EXAMPLES.glob("*.merge"), *EXAMPLES.glob("*.yaml")])
LAYERS, HIDDEN, VOCAB = 32, 16, 32
"""As many layers as Mistral-7B has: examples slice [24:32]."""

BASE = "mistralai/Mistral-7B-v0.1"
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds `org/name` for every Hub model that any example names."""
    folder = tmp_path_factory.mktemp("models")
    named = {reference for recipe in RECIPES for reference in references(recipe)}
    for seed, reference in enumerate(sorted(named - {BASE}), start=1):
        tiny_mistral(folder / reference, seed, LAYERS, HIDDEN, VOCAB, shards=1 + seed % 2)
    tiny_mistral(folder / BASE, 0, LAYERS, HIDDEN, VOCAB)
    return folder


def references(recipe: Path) -> set[str]:
    """The Hub models that a recipe and all that it imports name."""
    tree = parse(SourceText(str(recipe), recipe.read_text(encoding="utf-8")), SIGNATURES)
    found: set[str] = set()
    for node in _walk(tree.statements):
        if isinstance(node, Import):
            found |= references(recipe.parent / node.path.value)
        elif isinstance(node, String) and _HUB_ID.fullmatch(node.value):
            found.add(node.value.partition("@")[0])
    return found


def _walk(node: Any) -> Iterator[Any]:
    yield node
    parts: tuple[Any, ...] = node if isinstance(node, tuple) else ()
    if dataclasses.is_dataclass(node):
        parts = tuple(
            getattr(node, field.name)
            for field in dataclasses.fields(node)
            if not field.name.endswith("span")
        )
    for part in parts:
        yield from _walk(part)
