"""What the README says of the code is what the code is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import mergec
from mergec.grammar import SourceText, parse_text
from mergec.views.methods_table import methods_table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_methods_is_generated() -> None:
    _, _, rest = README.partition("<!-- methods: begin -->\n")
    table, _, _ = rest.partition("<!-- methods: end -->")
    assert table.strip() == methods_table().strip()


def test_every_recipe_parses() -> None:
    recipes = re.findall(r"```merge\n(.*?)```", README, re.DOTALL)
    assert recipes
    for recipe in recipes:
        parse_text(SourceText("README.md", recipe))


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == mergec.__version__
    assert f"## {mergec.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
