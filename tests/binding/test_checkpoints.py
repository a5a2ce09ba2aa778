"""Binding with real folders: where references lead, and outputs that would overwrite inputs."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from mergec.checkpoints.catalog import Catalog
from mergec.compiler.binding.bind import bind, load_recipe
from mergec.grammar import RecipeError


def _model(folder: Path) -> Path:
    """A checkpoint of one float32 number."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    folder.mkdir(parents=True)
    content = struct.pack("<Q", len(header)) + header + bytes(4)
    (folder / "model.safetensors").write_bytes(content)
    return folder


def _recipe(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_references_are_relative_to_the_file_that_they_stand_in(tmp_path: Path) -> None:
    _model(tmp_path / "m")
    _model(tmp_path / "sub" / "m")
    _model(tmp_path / "mirror" / "org" / "name")
    _recipe(tmp_path / "sub" / "part.merge", 'let m = "./m"\nlet hub = "org/name"\nlet no = "./no"')
    main = _recipe(
        tmp_path / "main.merge",
        'import "sub/part.merge" as part\n'
        'save linear { "./m", part.m, part.hub, weight = 1 } to "./out"',
    )
    bound = bind(load_recipe(main), Catalog(tmp_path, [tmp_path / "mirror"]))
    assert [Path(checkpoint.place) for checkpoint in bound.sources.values()] == [
        tmp_path / "m",
        tmp_path / "sub" / "m",
        tmp_path / "mirror" / "org" / "name",
    ]
    assert bound.outputs[0].path == tmp_path / "out"


def test_an_output_must_not_hold_an_input(tmp_path: Path) -> None:
    _model(tmp_path / "models" / "m")
    for out in ("./models/m", "./models"):
        main = _recipe(tmp_path / "main.merge", f'save "./models/m" to "{out}"')
        with pytest.raises(RecipeError) as caught:
            bind(load_recipe(main), Catalog(tmp_path))
        (problem,) = caught.value.diagnostics
        assert problem.code == "E0505"
        assert "would overwrite an input: ./models/m" in problem.message


def test_yaml_prefers_paths(tmp_path: Path) -> None:
    _model(tmp_path / "org" / "name")
    main = _recipe(
        tmp_path / "main.yaml", "models: [{model: org/name}]\nmerge_method: passthrough\n"
    )
    bound = bind(load_recipe(main), Catalog(tmp_path))
    assert Path(bound.sources["org/name"].place) == tmp_path / "org" / "name"


def test_an_import_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.merge").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.merge").mkdir()
    for name in ("x.merge", "folder.merge", "\\u0000.merge"):
        main = _recipe(tmp_path / "main.merge", f'import "{name}" as x\nsave x.m to "./out"')
        with pytest.raises(RecipeError) as caught:
            bind(load_recipe(main), Catalog(tmp_path))
        assert [problem.code for problem in caught.value.diagnostics] == ["E0206"]
