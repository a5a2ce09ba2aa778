"""One name, one meaning: no two files, and no two public types, are called the same."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APART = {"tests", "benchmarks", "examples", "build", "docs"}
METHODS = ROOT / "ops" / "methods"  # a file there is called as its method is, whatever else is

FILES = [
    path
    for path in ROOT.rglob("*.py")
    if not {part for part in path.relative_to(ROOT).parts if part in APART or part[0] == "."}
]


def test_file_names_are_told_apart() -> None:
    places = defaultdict(list)
    for path in FILES:
        if path.name not in ("__init__.py", "__main__.py") and path.parent != METHODS:
            places[path.name].append(str(path.relative_to(ROOT)))
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_public_types_are_told_apart() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: found for name, found in places.items() if len(found) > 1}
