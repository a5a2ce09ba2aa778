"""What `mergec convert` makes of mergekit's YAML writes the same bytes as the YAML itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from mergec.cli import cli
from mergec.grammar import SourceText, format_recipe, parse_text
from support.merging import merge

DATA = Path(__file__).parents[1] / "data" / "conformance"
CASES = [*sorted(DATA.glob("configs/*.yaml")), *sorted(DATA.glob("micro/configs/*.yaml"))]


@pytest.mark.parametrize("config", CASES, ids=lambda config: config.stem)
def test_the_same_bytes(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = config.parents[1]
    monkeypatch.chdir(suite)  # references are looked for where mergec runs, too
    recipe = suite / f"{config.stem}.yaml"  # as if it lay there, for paths start from the recipe
    result = CliRunner().invoke(cli, ["convert", str(config)])
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert format_recipe(parse_text(SourceText("r.merge", text))) == text
    text = text.replace('"../models/', '"./models/')
    merge(config, tmp_path / "yaml", folder=suite)
    merge(text, tmp_path / "merge", folder=suite)
    assert recipe.parent == suite
    for file in sorted((tmp_path / "yaml").iterdir()):
        if file.name != "mergec.json":  # which holds the recipe
            assert (tmp_path / "merge" / file.name).read_bytes() == file.read_bytes(), file.name
