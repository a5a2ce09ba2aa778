"""Shard files planned byte by byte, and read back by the safetensors library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mergec.checkpoints.shard_layout import Layout, plan_layout
from mergec.ops.dtypes import BY_NAME, bfloat16, float32
from safetensors.torch import load_file
from support.stores import read_file

DTYPE_NAMES = ["float32", "bfloat16", "int64", "uint8", "bool", "float8_e4m3fn"]


def write(folder: Path, layout: Layout, values: dict[str, torch.Tensor]) -> None:
    for number, shard in enumerate(layout.shards):
        content = bytearray(shard.size)
        content[: len(shard.header)] = shard.header
        for name, slot in layout.slots.items():
            if slot.shard == number and slot.nbytes:
                raw = bytes(values[name].reshape(-1).view(torch.uint8).tolist())
                content[slot.offset : slot.offset + slot.nbytes] = raw
        (folder / shard.name).write_bytes(content)


def test_two_shards_and_their_index() -> None:
    tensors = [("b", float32, (4,)), ("a", bfloat16, (2, 3)), ("c", float32, ())]
    layout = plan_layout(tensors, 20)
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert [shard.name for shard in layout.shards] == names
    assert [len(shard.header) % 8 for shard in layout.shards] == [0, 0]
    assert layout.total_parameters == 11
    assert layout.nbytes == sum(len(s.header) for s in layout.shards) + 32
    assert layout.index == (
        "{\n"
        '  "metadata": {\n'
        '    "total_parameters": 11,\n'
        '    "total_size": 32\n'
        "  },\n"
        '  "weight_map": {\n'
        f'    "a": "{names[1]}",\n'
        f'    "b": "{names[0]}",\n'
        f'    "c": "{names[1]}"\n'
        "  }\n"
        "}\n"
    )


def test_one_file_has_no_index() -> None:
    layout = plan_layout([("a", float32, (2,))])
    assert [shard.name for shard in layout.shards] == ["model.safetensors"]
    assert layout.index is None
    header = json.loads(layout.shards[0].header[8:])
    assert header["__metadata__"] == {"format": "pt"}
    assert header["a"] == {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_order_is_kept_and_shards_fill_up() -> None:
    tensors = [(f"t{n}", float32, (size,)) for n, size in enumerate([1, 1, 9, 1, 1, 1])]
    layout = plan_layout(tensors, 8)
    assert [slot.shard for slot in layout.slots.values()] == [0, 0, 1, 2, 2, 3]


def test_no_tensors() -> None:
    layout = plan_layout([])
    assert (len(layout.shards), layout.index, layout.total_parameters) == (1, None, 0)


@pytest.mark.parametrize(
    ("tensors", "shard_bytes", "words"),
    [
        ([("a", float32, (1,)), ("a", float32, (1,))], 100, "occurs twice"),
        ([("a", float32, (1,))], 0, "a shard can't have 0 bytes"),
    ],
)
def test_refused(
    tensors: list[tuple[str, object, tuple[int]]], shard_bytes: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        plan_layout(tensors, shard_bytes)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(DTYPE_NAMES), st.lists(st.integers(0, 5), max_size=3)),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 200),
)
def test_the_library_reads_what_is_planned(
    tmp_path_factory: pytest.TempPathFactory,
    kinds: list[tuple[str, list[int]]],
    shard_bytes: int,
) -> None:
    folder = tmp_path_factory.mktemp("layout")
    tensors = [(f"t.é{n}", BY_NAME[name], tuple(shape)) for n, (name, shape) in enumerate(kinds)]
    values = {
        name: torch.randint(0, 2, shape).to(getattr(torch, dtype.name))
        for name, dtype, shape in tensors
    }
    layout = plan_layout(tensors, shard_bytes)
    write(folder, layout, values)
    loaded: dict[str, torch.Tensor] = {}
    for number, shard in enumerate(layout.shards):
        loaded |= load_file(folder / shard.name)
        _, infos = read_file(folder / shard.name)
        for info in infos:
            assert layout.slots[info.name] == (number, info.offset, info.nbytes)
            assert info.offset % info.dtype.itemsize == 0
    assert loaded.keys() == values.keys()
    for name, value in values.items():
        assert loaded[name].dtype == value.dtype
        assert torch.equal(loaded[name].float(), value.float())
        assert loaded[name].shape == value.shape
