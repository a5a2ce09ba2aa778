"""Cards: what they say, what the Hub reads of them, and that an edited one is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mergec
import pytest
import yaml
from mergec.errors import RecipeError
from support.checkpoints import tiny_mistral

RECIPE = """
let mix = ties {
  base = "org/base@v1"
  "org/one"  weight=0.3  density=[0.2, 0.8]
  "org/two"  weight=match { mlp: 0.1, _: 0.7 }
}
save slerp { mix, "./local", t = 0.5 } to "./out" { dtype = bfloat16 }
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe, a mirror of its models, their cards."""
    for seed, name in enumerate(("base@v1", "one", "two")):
        folder = tiny_mistral(tmp_path / "models" / "org" / name, seed, 1, 16, 32)
        licence = ("mit", "apache-2.0", "llama2")[seed]
        card = f"license: {licence}\nlanguage: [en, {('de', 'no', 'fr')[seed]}]"
        (folder / "README.md").write_text(f"---\n{card}\n---\n")
    tiny_mistral(tmp_path / "local", 3, 1, 16, 32)
    (tmp_path / "recipe.merge").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(place: Path, **options: Any) -> tuple[str, dict[str, Any]]:
    """The card that a run writes, and its front matter."""
    plan = mergec.compile("recipe.merge", models=["models"], **options)
    mergec.run(plan)
    text = (place / "out" / "README.md").read_text()
    return text, yaml.safe_load(text.split("---")[1])


def test_the_hub_reads_the_metadata(place: Path) -> None:
    _, metadata = run(place)
    assert metadata == {
        "library_name": "transformers",
        "base_model": ["org/base", "org/one", "org/two"],
        "base_model_relation": "merge",
        "tags": ["merge", "mergec", "ties", "slerp"],
        "license": "llama2",
        "language": ["en", "de", "no", "fr"],
    }


def test_a_card_says_what_was_done(place: Path) -> None:
    text, _ = run(place)
    assert "| org/one |  | weight 0.3, density [0.2, 0.8] |" in text
    assert "| org/two |  | weight match { mlp: 0.1, _: 0.7 }" in text
    assert "| org/base@v1 | base |  |" in text
    assert "| mix |  |  |" in text and "**./out**: `slerp`, t 0.5" in text
    assert RECIPE.strip() in text
    assert "mergec run recipe.merge" in text
    for arrow in ('p1["org/one"]', 'p0 -->|"base"| s0', "p1 --> s0", "s0 --> s1", "p3 --> s1"):
        assert arrow in text, arrow
    manifest = json.loads((place / "out" / "mergec.json").read_text())
    assert [step["operation"] for step in manifest["steps"]] == ["ties", "slerp"]
    assert (place / "out" / "recipe.merge").read_text() == RECIPE


def test_an_edited_card_is_kept_and_another_is_renewed(place: Path) -> None:
    first, _ = run(place)
    (place / "recipe.merge").write_text(RECIPE.replace("t = 0.5", "t = 0.25"))
    second, _ = run(place)
    assert "t 0.25" in second and first != second
    (place / "out" / "README.md").write_text(second + "\nMine.\n")
    (place / "recipe.merge").write_text(RECIPE)
    assert run(place)[0] == second + "\nMine.\n"
    assert run(place)[0] == second + "\nMine.\n"


def test_a_template_replaces_ours(place: Path) -> None:
    (place / "mine.jinja").write_text(
        "---\n{{ metadata }}\n---\n{{ name }} of {{ parents | length }}"
    )
    text, _ = run(place, card="mine.jinja")
    assert text.endswith("---\nout of 4")


@pytest.mark.parametrize("template", ["{{ nothing }}", "{% for %}", None])
def test_a_bad_template_is_one_error(place: Path, template: str | None) -> None:
    if template is not None:
        (place / "mine.jinja").write_text(template)
    with pytest.raises(RecipeError) as caught:
        run(place, card="mine.jinja")
    assert caught.value.diagnostics[0].code == "E0641"


def test_licences_that_clash_are_warned_of_until_one_is_said(place: Path) -> None:
    (place / "models" / "org" / "one" / "README.md").write_text("---\nlicense: gemma\n---\n")
    plan = mergec.compile("recipe.merge", models=["models"])
    (warning,) = [w for w in plan.warnings if w.code == "W0640"]
    assert "gemma and llama2" in warning.message
    _, metadata = run(place)
    assert metadata["license"] == "other"
    said = RECIPE.replace("dtype = bfloat16", 'dtype = bfloat16, license = "mit"')
    (place / "recipe.merge").write_text(said)
    plan = mergec.compile("recipe.merge", models=["models"])
    assert not [w for w in plan.warnings if w.code == "W0640"]
    assert run(place)[1]["license"] == "mit"
