"""Plans of 7B models by their headers alone, their pages, and a browser to look at them with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mergec.compiler.planning.plan import Plan
from mergec.views.html import plan_page
from support.checkpoints import sparse_checkpoint
from support.merging import plan_recipe

from .devtools import Browser, find_chromium

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Plan]:
    """The plan of an example by its name, its models having headers but no data."""
    folder = tmp_path_factory.mktemp("example")
    plans: dict[str, Plan] = {}

    def plan(name: str) -> Plan:
        if name not in plans:
            recipe = EXAMPLES / f"{name}.merge"
            for reference in re.findall(r'"([\w.-]+/[\w.-]+)"', recipe.read_text()):
                model = folder / "models" / reference
                if not reference.startswith(".") and not model.exists():
                    sparse_checkpoint(model)
            plans[name] = plan_recipe(recipe, folder / "out", models=[folder / "models"])
        return plans[name]

    return plan


@pytest.fixture(scope="session")
def page_file(
    tmp_path_factory: pytest.TempPathFactory, example: Callable[[str], Plan]
) -> Callable[[str], Path]:
    """The page of an example, as a file."""
    folder = tmp_path_factory.mktemp("pages")

    def write(name: str) -> Path:
        file = folder / f"{name}.html"
        if not file.exists():
            file.write_text(plan_page(example(name)), encoding="utf-8")
        return file

    return write


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium."""
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with Browser(chromium, tmp_path_factory.mktemp("profile")) as found:
        yield found
