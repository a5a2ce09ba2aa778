"""The table of error codes: complete, nothing in it unused, one cause each, true examples."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from mergec.compiler.binding.bound import Bound
from mergec.grammar import RecipeError
from mergec.grammar.codes import CODES, Code
from mergec.grammar.codes.page import errors_page

ROOT = Path(__file__).resolve().parents[2]
_CODE = re.compile(r"[EW]0\d\d\d")
_ELSEWHERE = {"tests", "build", "benchmarks", ".venv", "dist"}

# Causes that several modules can find; every other code is reported by one module.
FOUND_IN_SEVERAL = {
    "E0101": "the parser, and the layout for a lone comma",
    "E0109": "each front end, binding, and chains of stages",
    "E0115": "keys of a merge, keys of its output",
    "E0125": "recipes, `mergec.merge`",
    "E0201": "each front end, `mergec methods`, `mergec.merge`",
    "E0203": "names, settings of the recipe",
    "E0204": "wherever a kind is wanted",
    "E0208": "blocks, outputs",
    "E0210": "`set`, `save`",
    "E0211": "`set`, `save`",
    "E0218": "params, functions",
    "E0221": "the language's functions, a recipe's",
    "E0301": "recipes, `mergec.merge`",
    "E0302": "recipes, `mergec.merge`",
    "E0303": "each front end, `mergec.merge`",
    "E0304": "each front end, `mergec.merge`",
    "E0306": "recipes, `mergec.merge`",
    "W0107": "keys, parameters, a lone base",
    "W0202": "each statement that may have none",
    "E0309": "folding, `mergec.merge`",
    "E0310": "each format",
    "E0312": "each format",
    "E0313": "each format",
    "E0317": "models, adapters",
    "E0328": "an adapter's config, its tensors, where it stands",
    "E0311": "recipes, `mergec.merge`",
    "E0318": "layers, tensors, `mergec.merge`",
    "E0319": "plans, runs, `mergec.merge`",
    "E0322": "recipes, `mergec.merge`",
    "E0402": "chat templates, outputs",
    "E0403": "wherever a tokenizer is needed",
    "E0404": "rows, tokens",
    "E0502": "outputs, files of the command line, the kernel cache",
    "E0503": "outputs, the demo",
    "E0505": "plans, runs",
    "E0601": "the catalog, an empty reference",
    "E0602": "an index, a file that vanishes",
    "E0603": "wherever a file is touched",
    "E0605": "each store, a file that is opened again",
    "E0636": "the catalog, what reads object stores",
    "E0333": "where it's written, the model's names",
    "E0334": "a GGUF file's names, its types",
    "E0634": "the Hub's client, a look at the disk before, streams",
    "E0606": "shards, the journal, tensors copied from an earlier output",
    "E0608": "runs, `mergec.merge`",
}


def _uses() -> dict[str, set[str]]:
    """The modules that name each code in their own text, docstrings aside."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).parts
        if parts[0] in _ELSEWHERE or parts[:2] == ("grammar", "codes"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and _CODE.fullmatch(text):
                found[text].add("/".join(parts))
    return found


def test_the_table_has_every_code_that_is_raised_and_no_other() -> None:
    assert set(CODES) == set(_uses())


def test_a_code_is_raised_for_one_cause() -> None:
    several = {code for code, modules in _uses().items() if len(modules) > 1}
    assert several <= set(FOUND_IN_SEVERAL), "give the new cause a code of its own"


@pytest.mark.parametrize("entry", CODES.values(), ids=list(CODES))
def test_an_entry_is_written_out(entry: Code) -> None:
    assert _CODE.fullmatch(entry.code)
    assert not entry.title.endswith(".")
    assert entry.cause.endswith(".") and entry.cure.endswith(".")
    assert bool(entry.wrong) == bool(entry.right)


@pytest.mark.parametrize(
    "entry", [e for e in CODES.values() if e.wrong], ids=[e.code for e in CODES.values() if e.wrong]
)
def test_the_wrong_example_is_refused_so_and_the_right_one_is_not(
    bind_text: Callable[..., Bound], entry: Code
) -> None:
    name = f"recipe.{entry.language}"
    if entry.is_warning:
        assert entry.code in [w.code for w in bind_text(entry.wrong, name=name).warnings]
    else:
        with pytest.raises(RecipeError) as caught:
            bind_text(entry.wrong, name=name)
        assert entry.code in [d.code for d in caught.value.diagnostics]
    assert entry.code not in [w.code for w in bind_text(entry.right, name=name).warnings]


def test_the_page_of_errors_is_the_table() -> None:
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    assert page == errors_page(), "mergec explain > docs/errors.md"
