"""The page in a headless Chromium: what pointing and keys show, and that it fits in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mergec.compiler.planning.plan import Plan

from .devtools import Browser, Page

pytestmark = pytest.mark.browser

EXAMPLES = ["merge-14", "neuralpipe-9b-merged", "sweep"]


def middle(page: Page, selector: str) -> list[float]:
    """Where the middle of an element is, once it is in view."""
    found: list[float] = page.run(
        f"""(() => {{
            const element = document.querySelector({selector!r});
            element.scrollIntoView({{ block: "center" }});
            const box = element.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2];
        }})()"""
    )
    return found


def tip(page: Page) -> str:
    """The tooltip's text; empty while it is hidden."""
    text: str = page.run(
        'tip.hidden ? "" : [...tip.children].map((line) => line.textContent).join("\\n")'
    )
    return text


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("name", EXAMPLES)
def test_pages_fit_and_nothing_complains(
    name: str, width: int, dark: bool, browser: Browser, page_file: Callable[[str], Path]
) -> None:
    file = page_file(name)
    page = browser.open(file, width, 900, dark=dark)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.requests() == [file.as_uri()]
    assert page.complaints() == []
    shade = page.run("getComputedStyle(document.body).backgroundColor")
    assert (int(shade.removeprefix("rgb(").split(",")[0]) < 64) == dark


def test_drawn_stages_are_the_recipes(
    browser: Browser, page_file: Callable[[str], Path], example: Callable[[str], Plan]
) -> None:
    page = browser.open(page_file("merge-14"), 1280, 900)
    drawn = page.run('[...document.querySelectorAll("[data-stage]")].map((n) => n.dataset.stage)')
    assert drawn == [stage.name for stage in example("merge-14").bound.stages]
    assert page.run('document.querySelectorAll(".node.source").length') == 16
    assert page.run('document.querySelectorAll(".node.output").length') == 2


def test_no_text_leaves_its_box(browser: Browser, page_file: Callable[[str], Path]) -> None:
    page = browser.open(page_file("merge-14"), 1280, 900)
    too_long = page.run(
        """[...document.querySelectorAll(".node text")].filter((text) => {
            const box = text.parentNode.querySelector(".box").getBoundingClientRect();
            return text.getBoundingClientRect().right > box.right;
        }).map((text) => text.textContent)"""
    )
    assert too_long == []


def on(page: Page) -> set[str]:
    found: list[str] = page.run(
        '[...document.querySelectorAll(".node.on .title")].map((title) => title.textContent)'
    )
    return set(found)


def test_pointing_at_a_stage_traces_it(browser: Browser, page_file: Callable[[str], Path]) -> None:
    page = browser.open(page_file("merge-14"), 1280, 1200)
    page.point(*middle(page, '[data-stage="v0_1"]'))
    assert tip(page).startswith("v0_1\n")
    traced = on(page)
    assert {"core", "trinity-v1", "v0_1", "Mistral-7B-Merge-14-v0.1"} <= traced
    assert not traced & {"v0_2", "Mistral-7B-Merge-14-v0.2"}
    assert len(traced) == 19  # all 16 sources, core, itself and its output
    page.point(1, 1)
    assert tip(page) == ""
    assert page.run('document.querySelector(".graph.tracing")') is None


def test_keys_reach_every_node(browser: Browser, page_file: Callable[[str], Path]) -> None:
    page = browser.open(page_file("neuralpipe-9b-merged"), 1280, 900)
    page.run("document.querySelector('#node-0').focus()")
    assert tip(page).startswith("OpenPipe/mistral-ft-optimized-1218\n")
    page.press("Tab")
    page.press("Tab")
    assert page.run("document.activeElement.id") == "node-2"
    assert tip(page).startswith("big\n")
    assert "OpenPipe/mistral-ft-optimized-1218[0:32]" in tip(page)
    page.press("Escape")
    assert tip(page) == ""


def test_pointing_at_a_step_names_what_it_holds(
    browser: Browser, page_file: Callable[[str], Path]
) -> None:
    page = browser.open(page_file("merge-14"), 1280, 900)
    x, y = middle(page, "#timeline")
    left = page.run('document.querySelector("#timeline").getBoundingClientRect().left')
    page.point(left + 1, y)
    lines = tip(page).split("\n")
    assert lines[0] == "step 1 of 582"
    assert lines[1] == "model.embed_tokens.weight"
    assert lines[2].startswith("dare_ties, slerp, sweep 1 of 2")
    assert "holds core500.0 MiB" in lines
    assert page.run('document.querySelector("#cursor").getAttribute("d")').startswith("M0 0H1V")
    page.point(x, y)
    assert tip(page).split("\n")[0] != lines[0]


def test_keys_walk_the_steps(browser: Browser, page_file: Callable[[str], Path]) -> None:
    page = browser.open(page_file("merge-14"), 420, 900)
    slider = 'document.querySelector("#timeline")'

    def value() -> Any:
        return page.run(f'{slider}.getAttribute("aria-valuenow")')

    page.run(f"{slider}.focus()")
    assert value() == "1"  # the peak
    assert "holds core" in tip(page)
    page.press("ArrowRight")
    assert value() == "2"
    page.press("End")
    assert value() == "582"
    assert tip(page).startswith("step 582 of 582\n")
    page.press("p", "p")
    assert value() == "1"
    text = page.run(f'{slider}.getAttribute("aria-valuetext")')
    assert "model.embed_tokens.weight" in text and "holds core 500.0 MiB" in text
    page.run(f"{slider}.blur()")
    assert tip(page) == ""
    assert page.complaints() == []


def test_a_wide_graph_can_be_fitted(browser: Browser, page_file: Callable[[str], Path]) -> None:
    page = browser.open(page_file("merge-14"), 420, 900)
    assert page.run("fit.hidden") is False
    page.run("fit.click()")
    assert page.run("canvas.scrollWidth <= canvas.clientWidth") is True
    wide = browser.open(page_file("merge-14"), 1280, 900)
    assert wide.run("fit.hidden") is True
