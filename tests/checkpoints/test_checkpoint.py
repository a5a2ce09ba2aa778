"""Folders and files that hold a checkpoint, good and bad."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mergec.grammar.diagnostics import CheckpointError
from support.checkpoints import sparse_checkpoint, tiny_mistral, write_checkpoint, write_raw
from support.stores import open_path

INDEX = "model.safetensors.index.json"
ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize("shards", [1, 3])
def test_hub_layout(shards: int, tmp_path: Path) -> None:
    folder = tiny_mistral(tmp_path / "m", 1, shards=shards)
    checkpoint = open_path(folder, reference="me/m")
    assert checkpoint.reference == "me/m"
    assert len(checkpoint.files) == shards
    assert len(checkpoint.tensors) == 4 * 9 + 3
    assert checkpoint.config["num_hidden_layers"] == 4
    assert checkpoint.place == str(folder)
    places = [(info.files[0].name, info.offset) for info in checkpoint.tensors.values()]
    assert places == sorted(places)


def test_single_file_has_its_folders_config(tmp_path: Path) -> None:
    folder = tiny_mistral(tmp_path / "m", 1)
    checkpoint = open_path(folder / "model.safetensors")
    assert checkpoint.config["model_type"] == "mistral"
    assert checkpoint.place == str(folder)


def test_loose_files_without_index_or_config(tmp_path: Path) -> None:
    write_raw(tmp_path / "b.safetensors", {"x": ONE}, 4)
    write_raw(tmp_path / "a.safetensors", {"y": ONE}, 4)
    write_raw(tmp_path / "adapter_model.safetensors", {"z": ONE}, 4)
    checkpoint = open_path(tmp_path)
    assert list(checkpoint.tensors) == ["y", "x"]
    assert checkpoint.config == {}


def test_the_index_decides_between_two_copies(tmp_path: Path) -> None:
    both = {"x": ONE, "y": {**ONE, "data_offsets": [4, 8]}}
    write_raw(tmp_path / "a.safetensors", both, 8)
    write_raw(tmp_path / "b.safetensors", both, 8)
    write_index(tmp_path, {"x": "a.safetensors", "y": "b.safetensors"})
    checkpoint = open_path(tmp_path)
    assert {name: info.files[0].name for name, info in checkpoint.tensors.items()} == {
        "x": "a.safetensors",
        "y": "b.safetensors",
    }


def test_shards_may_be_links_into_a_cache(tmp_path: Path) -> None:
    blob = write_raw(tmp_path / "blob", {"x": ONE}, 4)
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "a.safetensors").symlink_to(blob)
    write_index(folder, {"x": "a.safetensors"})
    assert open_path(folder).files[0].store.real("a.safetensors") == str(blob)


def test_sparse_checkpoint_has_seven_billion_parameters(tmp_path: Path) -> None:
    checkpoint = open_path(sparse_checkpoint(tmp_path / "m"))
    assert checkpoint.nbytes == 14_483_464_192
    assert len(checkpoint.tensors) == 291
    assert Path(checkpoint.files[0].place).stat().st_blocks * 512 < 100_000


def write_index(folder: Path, weight_map: Any) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def index_to(file: Any) -> Callable[[Path], None]:
    return lambda folder: write_index(folder, {"x": file})


def text(name: str, content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_raw(folder / "model.safetensors", {"x": ONE}, 4)
        (folder / name).write_text(content)

    return write


def raw(**files: dict[str, Any]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name, header in files.items():
            write_raw(folder / f"{name}.safetensors", header, 4 * len(header))

    return write


def absent_from_shard(folder: Path) -> None:
    write_raw(folder / "a.safetensors", {"x": ONE}, 4)
    write_index(folder, {"x": "a.safetensors", **{f"y{n}": "a.safetensors" for n in range(7)}})


def missing_shards(folder: Path) -> None:
    write_raw(folder / "a.safetensors", {"x": ONE}, 4)
    write_index(folder, {"x": "a.safetensors", "y": "b.safetensors", "z": "c.safetensors"})


BAD: dict[str, tuple[Callable[[Path], object], str, str]] = {
    # title: what the folder holds, code, words of the message
    "nothing": (lambda folder: None, "E0602", "holds no file of weights"),
    "no tensors": (raw(model={}), "E0602", "holds no tensors"),
    "missing shards": (missing_shards, "E0602", "2 of the 3 shards of"),
    "pickle": (
        lambda f: (f / "pytorch_model.bin").touch(),
        "E0310",
        "is no file of torch.save",
    ),
    "pickle in the index": (index_to("x.bin"), "E0602", "1 of the 1 shards"),
    "adapter": (raw(adapter_model={"x": ONE}), "E0317", "is a LoRA adapter"),
    "tensor twice": (raw(a={"x": ONE}, b={"x": ONE}), "E0315", "both a.safetensors and b.safet"),
    "tensor absent": (absent_from_shard, "E0315", "lacks tensors that the index places there: y0"),
    "no weight map": (text(INDEX, "{}"), "E0314", "has no `weight_map`"),
    "index is a list": (text(INDEX, "[]"), "E0314", "doesn't hold a JSON object"),
    "index is cut": (text(INDEX, '{"weight_map": {"x"'), "E0314", "not valid JSON"),
    "index name twice": (
        text(INDEX, '{"weight_map": {"x": "a.safetensors", "x": "b.safetensors"}}'),
        "E0314",
        "key 'x' occurs twice",
    ),
    "index leaves": (index_to("../a.safetensors"), "E0314", "'../a.safetensors' as a shard"),
    "index is absolute": (index_to("/etc/a.safetensors"), "E0314", "as a shard"),
    "index with a drive": (index_to("C:a.safetensors"), "E0314", "as a shard"),
    "index with a backslash": (index_to("..\\a.safetensors"), "E0314", "as a shard"),
    "index with a NUL": (index_to("a\0.safetensors"), "E0314", "as a shard"),
    "index with a number": (index_to(3), "E0314", "names '3' as a shard"),
    "index with another file": (index_to("config.json"), "E0314", "names 'config.json' as a shard"),
    "config is cut": (text("config.json", '{"a": '), "E0316", "config.json is not valid JSON"),
    "config is a list": (text("config.json", "[]"), "E0316", "doesn't hold a JSON object"),
    "config is deep": (
        text("config.json", '{"a_config": ' * 60 + "1" + "}" * 60),
        "E0316",
        "is nested over 50 levels deep",
    ),
    "config is not text": (text("config.json", '"\x00'), "E0316", "not valid JSON"),
}


@pytest.mark.parametrize("title", BAD)
def test_bad_folder(title: str, tmp_path: Path) -> None:
    fill, code, words = BAD[title]
    fill(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        open_path(tmp_path)
    [problem] = caught.value.diagnostics
    assert (problem.code, words in problem.message) == (code, True), problem.message
    assert str(tmp_path) in problem.message or code == "E0315"


def test_long_lists_are_cut(tmp_path: Path) -> None:
    absent_from_shard(tmp_path)
    with pytest.raises(CheckpointError, match="y0, y1, y2, y3, y4, … 2 more"):
        open_path(tmp_path)


def test_hint_goes_with_missing_files(tmp_path: Path) -> None:
    missing_shards(tmp_path)
    with pytest.raises(CheckpointError, match=r"b\.safetensors, c\.safetensors\n  = help: get it"):
        open_path(tmp_path, hint="get it")


@pytest.mark.parametrize(
    ("name", "code"), [("m.pt", "E0310"), ("m.txt", "E0604"), ("gone.safetensors", "E0601")]
)
def test_bad_single_file(name: str, code: str, tmp_path: Path) -> None:
    if name.startswith("m"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=code):
        open_path(tmp_path / name)


def test_generated_weights_are_reproducible(tmp_path: Path) -> None:
    one = tiny_mistral(tmp_path / "1", 3) / "model.safetensors"
    two = tiny_mistral(tmp_path / "2", 3) / "model.safetensors"
    other = tiny_mistral(tmp_path / "3", 4) / "model.safetensors"
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()


def test_write_checkpoint_takes_numpy(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"x": torch.ones(2).numpy()}, {})
    assert open_path(tmp_path).tensors["x"].shape == (2,)
