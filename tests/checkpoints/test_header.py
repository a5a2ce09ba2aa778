"""Headers of .safetensors files, good and bad."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from mergec.grammar.diagnostics import CheckpointError, SourceText, Span
from mergec.ops.dtypes import DTYPES, bfloat16, float32
from safetensors.torch import save_file
from support.checkpoints import write_raw
from support.stores import open_path, read_file

SPAN = Span(SourceText("recipe.merge", 'save "./x" to "./y"'), 5, 10)


def tensor(dtype: str = "F32", shape: Any = (2, 2), begin: Any = 0, end: Any = 16) -> Any:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


BAD: dict[str, tuple[object, int, str, str]] = {
    # title: header, bytes of data, code, words of the message
    "not JSON": (b"{nope}", 0, "E0310", "not valid JSON"),
    "not an object": (b"[1, 2]", 0, "E0310", "doesn't begin with {"),
    "not UTF-8": (b'{"\xff": 1}', 0, "E0310", "not valid JSON"),
    "one entry as the whole": (tensor(), 16, "E0310", "describes one tensor"),
    "deep nesting": (b'{"a": ' + b"[" * 100_000, 0, "E0310", "not valid JSON"),
    "a float in a shape": ({"a": tensor(shape=[2.0, 2])}, 16, "E0310", "unexpected number 2.0"),
    "NaN in a shape": (b'{"a": [NaN]}', 0, "E0310", "unexpected number NaN"),
    "a name twice": (
        f'{{"a": {json.dumps(tensor())}, "a": {json.dumps(tensor())}}}'.encode(),
        16,
        "E0310",
        "names `a` twice",
    ),
    "entry of a wrong form": ({"a": [1, 2]}, 16, "E0312", "tensor `a`: an entry is an object"),
    "entry without offsets": ({"a": {"dtype": "F32", "shape": []}}, 4, "E0312", "an entry is"),
    "a key of an entry twice": (
        b'{"a": {"dtype": "F32", "shape": [], "shape": []}}',
        4,
        "E0312",
        "an entry is",
    ),
    "a dtype that is no string": ({"a": tensor(dtype=3)}, 16, "E0312", "an entry is"),  # type: ignore[arg-type]
    "unknown dtype": ({"a": tensor("F7")}, 16, "E0312", "tensor `a`: unknown dtype F7"),
    "shape that is no list": ({"a": tensor(shape=4)}, 16, "E0312", "must be whole numbers"),
    "shape with a string": ({"a": tensor(shape=["4"])}, 16, "E0312", "must be whole numbers"),
    "shape with a list": ({"a": tensor(shape=[[4]])}, 16, "E0312", "must be whole numbers"),
    "shape with true": ({"a": tensor(shape=[True, 4])}, 16, "E0312", "must be whole numbers"),
    "offset as a string": ({"a": tensor(end="16")}, 16, "E0312", "must be whole numbers"),
    "offset as null": ({"a": tensor(begin=None)}, 16, "E0312", "must be whole numbers"),
    "negative dimension": ({"a": tensor(shape=[-2, -2])}, 16, "E0312", "a dimension is negative"),
    "huge dimension": ({"a": tensor(shape=[2**64])}, 16, "E0312", "over 2**63 - 1"),
    "overflow": ({"a": tensor(shape=[2**40, 2**40])}, 16, "E0312", "overflows"),
    "too many dimensions": ({"a": tensor(shape=[1] * 65)}, 4, "E0312", "has 65 dimensions"),
    "size and shape differ": (
        {"a": tensor(shape=[2, 3])},
        16,
        "E0312",
        "[2, 3] of float32 takes 24 bytes, its offsets are 0 to 16",
    ),
    "offsets the wrong way": ({"a": tensor(begin=16, end=0)}, 16, "E0312", "are 16 to 0"),
    "negative offset": ({"a": tensor(begin=-16, end=0)}, 16, "E0312", "are -16 to 0"),
    "huge offset": ({"a": tensor(begin=10**30, end=10**30 + 16)}, 16, "E0312", "its offsets"),
    "terminal escape": ({"a\x1b[2J": tensor()}, 16, "E0312", "control characters: 'a\\x1b[2J'"),
    "overlap": (
        {"a": tensor(), "b": tensor(begin=8, end=24)},
        24,
        "E0313",
        "tensor `b`: it overlaps `a`",
    ),
    "hole": ({"a": tensor(), "b": tensor(begin=20, end=36)}, 36, "E0313", "4 bytes before it"),
    "hole at the start": ({"a": tensor(begin=4, end=20)}, 20, "E0313", "4 bytes before it"),
    "hole at the end": ({"a": tensor()}, 20, "E0313", "4 bytes at its end"),
    "truncated": ({"a": tensor()}, 12, "E0313", "is truncated: tensor `a` ends at byte"),
}


@pytest.mark.parametrize("title", BAD)
def test_bad_header(title: str, tmp_path: Path) -> None:
    header, data_bytes, code, words = BAD[title]
    path = write_raw(tmp_path / "model.safetensors", header, data_bytes)
    with pytest.raises(CheckpointError) as caught:
        open_path(tmp_path, span=SPAN)
    [problem] = caught.value.diagnostics
    assert problem.code == code
    assert words in problem.message
    assert str(path) in problem.message
    assert problem.span == SPAN
    assert len(problem.message) < 600


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "E0310", "it has 0 bytes"),
        (b"\0\0\0", "E0310", "it has 3 bytes"),
        ((10**9).to_bytes(8, "little") + b"{}", "E0310", "would be 1,000,000,000 bytes"),
        ((2**64 - 1).to_bytes(8, "little"), "E0310", "its header would be"),
        ((100).to_bytes(8, "little") + b"{}", "E0310", "needs 108 bytes, the file has 10"),
        (b"PK\x03\x04" + b"\0" * 20, "E0310", "is truncated, or no safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1", "E0310", "is a Git LFS pointer"),
        ((20).to_bytes(8, "little") + b"\x80" * 20, "E0310", "doesn't begin with {"),
    ],
)
def test_bad_file(content: bytes, code: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_file(path)
    assert caught.value.diagnostics[0].code == code
    assert words in caught.value.diagnostics[0].message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="is not a regular file"):
        read_file(tmp_path / "x.safetensors")


def test_every_tensor_is_where_the_library_put_it(tmp_path: Path) -> None:
    values = {
        "z": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3),
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 4),
        "ids": torch.arange(3),
        "mask": torch.tensor([True, False, True]),
    }
    path = tmp_path / "model.safetensors"
    save_file(values, path)
    data = path.read_bytes()
    file, tensors = read_file(path)
    assert {info.name for info in tensors} == set(values)
    for info in tensors:
        value = values[info.name]
        raw = value.reshape(-1).view(torch.uint8) if value.numel() else torch.zeros(0)
        assert data[info.offset : info.offset + info.nbytes] == bytes(raw.tolist())
        assert (info.file, info.shape) == (file, tuple(value.shape))
        assert str(value.dtype) == f"torch.{info.dtype}"
    assert [info.offset for info in tensors] == sorted(info.offset for info in tensors)


def test_empty_tensors_may_stand_anywhere(tmp_path: Path) -> None:
    header = {"b": tensor(), "a": tensor(shape=[0], end=0), "c": tensor(shape=[0], begin=16)}
    _, tensors = read_file(write_raw(tmp_path / "x.safetensors", header, 16))
    assert {info.name: info.nbytes for info in tensors} == {"a": 0, "b": 16, "c": 0}


def test_every_dtype_is_read(tmp_path: Path) -> None:
    header, begin = {}, 0
    for dtype in DTYPES:
        header[dtype.name] = tensor(dtype.code, [3], begin, begin + 3 * dtype.itemsize)
        begin += 3 * dtype.itemsize
    _, tensors = read_file(write_raw(tmp_path / "x.safetensors", header, begin))
    assert [info.dtype for info in tensors] == list(DTYPES)


def test_equal_shapes_and_names_are_shared(tmp_path: Path) -> None:
    header = {"a": tensor(), "b": tensor(begin=16, end=32)}
    one = read_file(write_raw(tmp_path / "1.safetensors", header, 32))[1]
    two = read_file(write_raw(tmp_path / "2.safetensors", header, 32))[1]
    assert one[0].shape is one[1].shape
    assert one[0].name is two[0].name
    assert one[0].dtype is float32
    assert one[0].dtype is not bfloat16


def test_identity_changes_with_the_file(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.safetensors", {"a": tensor()}, 16)
    before = read_file(path)[0]
    assert read_file(path)[0].identity == before.identity
    os.utime(path, ns=(1, 1))
    assert read_file(path)[0].identity != before.identity


@pytest.mark.parametrize("shared", [False, True])
def test_identity_of_a_cached_blob_is_its_hash(shared: bool, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs" / ("ab" if shared else "")
    blobs.mkdir(parents=True)
    blob = write_raw(blobs / ("ab" * 32), {"a": tensor()}, 16)
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    before = read_file(link)[0]
    assert before.identity[:2] == ("blob", "ab" * 32)
    os.utime(blob, ns=(1, 1))
    assert read_file(link)[0].identity == before.identity
