"""Files of torch.save: read as torch reads them, streamed, and never run."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mergec
import pytest
import torch
from mergec.checkpoints.source_tensors import SourceTensor
from mergec.checkpoints.stores import OpenFile, StoredFile
from mergec.grammar.diagnostics import CheckpointError
from support.checkpoints import tiny_mistral, write_checkpoint
from support.merging import read_checkpoint
from support.stores import open_path


def values_of(tensor: SourceTensor, piece: int = 7) -> bytes:
    """All bytes of a tensor, read in pieces of so many elements, which don't meet its rows."""
    opened: dict[StoredFile, OpenFile] = {}

    def open_once(file: StoredFile) -> OpenFile:
        if file not in opened:
            opened[file] = file.open()
        return opened[file]

    reader = tensor.reader(open_once)
    data = bytearray(tensor.nbytes)
    step = piece * tensor.dtype.itemsize
    for start in range(0, len(data), step):
        reader.read(start, memoryview(data)[start : start + step])
    for file in opened.values():
        file.close()
    return bytes(data)


def raw_bytes(value: torch.Tensor) -> bytes:
    return (
        bytes(value.contiguous().reshape(-1).view(torch.uint8).tolist()) if value.numel() else b""
    )


def check(path: Path, expected: dict[str, torch.Tensor]) -> None:
    tensors = open_path(path).tensors
    assert set(tensors) == set(expected)
    for name, value in expected.items():
        tensor = tensors[name]
        assert (tensor.shape, f"torch.{tensor.dtype}") == (tuple(value.shape), str(value.dtype))
        assert values_of(tensor) == raw_bytes(value), name


def sample() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    tensors = {
        str(dtype).removeprefix("torch."): torch.randn(5, 6).to(dtype)
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64)
    }
    tensors |= {
        "ids": torch.arange(7),
        "mask": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "float8": torch.randn(4, 4).to(torch.float8_e4m3fn),
    }
    return tensors


@pytest.mark.parametrize("name", ["pytorch_model.bin", "m.pt", "m.pth", "m.ckpt"])
def test_every_dtype_is_read_as_torch_reads_it(tmp_path: Path, name: str) -> None:
    torch.save(sample(), tmp_path / name)
    check(tmp_path / name, sample())
    check(tmp_path, sample())


@pytest.mark.parametrize("wrap", ["state_dict", "model", "module"])
def test_training_checkpoints(tmp_path: Path, wrap: str) -> None:
    state = {"epoch": 3, wrap: OrderedDict(sample()), "lr": [0.1, None], "size": torch.Size([2])}
    torch.save(state, tmp_path / "m.ckpt")
    check(tmp_path / "m.ckpt", sample())


def test_modules_and_parameters(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    torch.save(module.state_dict(), tmp_path / "m.pt")
    check(tmp_path / "m.pt", dict(module.state_dict()))
    torch.save(dict(module.named_parameters()), tmp_path / "p.pt")
    check(tmp_path / "p.pt", {k: v.detach() for k, v in module.named_parameters()})


def test_shared_storages_and_rows_that_lie_apart(tmp_path: Path) -> None:
    whole = torch.randn(6, 8)
    views = {
        "whole": whole,
        "tied": whole,
        "tail": whole[4:],
        "left": whole[:, :3],
        "row": whole[2],
    }
    views["block"] = torch.randn(3, 5, 8)[:, 1:4, 2:6]
    torch.save(views, tmp_path / "m.pt")
    check(tmp_path / "m.pt", views)


def test_other_orders_of_elements_are_refused_with_a_command(tmp_path: Path) -> None:
    torch.save({"turned": torch.randn(3, 4).T}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"strides \[1, 4\]") as caught:
        open_path(tmp_path / "m.pt")
    hint = str(caught.value.diagnostics[0].hint)
    command = hint.removeprefix("convert it: ").replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert open_path(tmp_path / "model.safetensors").tensors["turned"].shape == (4, 3)


def test_the_format_before_archives_is_refused(tmp_path: Path) -> None:
    torch.save(sample(), tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"before version 1\.6") as caught:
        open_path(tmp_path / "m.pt")
    assert "torch.load" in str(caught.value)


def test_a_merge_of_shards_in_both_formats(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        folder = tiny_mistral(tmp_path / name, seed)
        tensors = read_checkpoint(folder)
        other = tmp_path / f"{name}-bin"
        write_checkpoint(other, {"x": torch.zeros(1)}, {}, 1)
        (other / "model.safetensors").unlink()
        (other / "config.json").write_text((folder / "config.json").read_text())
        names = sorted(tensors)
        parts = {"pytorch_model-1.bin": names[:20], "pytorch_model-2.bin": names[20:]}
        for file, some in parts.items():
            torch.save({key: tensors[key] for key in some}, other / file)
        weight_map = {key: file for file, some in parts.items() for key in some}
        (other / "pytorch_model.bin.index.json").write_text(
            '{"weight_map": ' + str(weight_map).replace("'", '"') + "}"
        )
        torch.save({"step": 1}, other / "optimizer.pt")
    recipe = 'save slerp {{ "./a{0}", "./b{0}", t = 0.4 }} to "./out{0}" {{ dtype = bfloat16 }}'
    for kind in ("", "-bin"):
        text = recipe.format(kind).replace('"./', f'"{tmp_path}/')
        mergec.run(mergec.compile(text))
    first, second = (read_checkpoint(tmp_path / f"out{kind}") for kind in ("", "-bin"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


# What a pickle may not do ----------------------------------------------------------------------


class Calls:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def archive_with(path: Path, pickled: bytes) -> Path:
    """An archive of torch.save whose pickle is another."""
    buffer = io.BytesIO()
    torch.save({"x": torch.ones(2)}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            data = pickled if info.filename.endswith("data.pkl") else source.read(info)
            target.writestr(info.filename, data)
    return path


ATTACKS: dict[str, Callable[[Path], Any]] = {
    "os.system": lambda flag: Calls(os.system, f"touch {flag}"),
    "posix.system": lambda flag: Calls(os.system, f"touch {flag}"),
    "builtins.eval": lambda flag: Calls(eval, f"open({str(flag)!r}, 'w')"),
    "builtins.exec": lambda flag: Calls(exec, f"open({str(flag)!r}, 'w')"),
    "builtins.getattr": lambda flag: Calls(getattr, "x", "upper"),
    "subprocess.Popen": lambda flag: Calls(subprocess.Popen, ["touch", str(flag)]),
    "torch.load": lambda flag: Calls(torch.load, "x"),
    "torch.hub.load": lambda flag: Calls(torch.hub.load, "a", "b"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_pickle_that_runs_something_is_refused_by_name(tmp_path: Path, name: str) -> None:
    flag = tmp_path / "flag"
    pickled = pickle.dumps({"x": ATTACKS[name](flag)}, protocol=2)
    path = archive_with(tmp_path / "m.pt", pickled)
    with pytest.raises(CheckpointError, match="E0330") as caught:
        open_path(path)
    called = name.rpartition(".")[2]
    assert f"{called}`" in str(caught.value)
    assert not flag.exists()


@pytest.mark.parametrize(
    "opcodes",
    [
        b"ccollections\nOrderedDict\n}(S'x'\nK\x01ub.",  # BUILD on what a name stands for
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.",  # a function of ours with no arguments
        b"ctorch\nFloatStorage\n)R.",  # a storage that is called
        b"cos\nsystem\n.",
        b"\x80\x02}q\x00(X\x01\x00\x00\x00xcbuiltins\nlist\nu.",
        b"\x80\x63garbage",
        b"",
        b"(" * 100_000,
        b"\x80\x02]" + b"]" * 50_000 + b".",
    ],
)
def test_crafted_streams_are_one_error(tmp_path: Path, opcodes: bytes) -> None:
    with pytest.raises(CheckpointError):
        open_path(archive_with(tmp_path / "m.pt", opcodes))


def test_tensors_stay_inside_their_storage(tmp_path: Path) -> None:
    torch.save({"x": torch.arange(100.0)}, tmp_path / "ok.pt")
    data = (tmp_path / "ok.pt").read_bytes()
    assert data.count(b"Kd\x85") == 1  # the shape (100,)
    (tmp_path / "m.pt").write_bytes(data.replace(b"Kd\x85", b"K\xff\x85"))
    with pytest.raises(CheckpointError, match="E0313"):
        open_path(tmp_path / "m.pt")


@pytest.mark.parametrize("cut", [0, 3, 100, 1000])
def test_cut_files(tmp_path: Path, cut: int) -> None:
    torch.save(sample(), tmp_path / "m.pt")
    data = (tmp_path / "m.pt").read_bytes()
    (tmp_path / "m.pt").write_bytes(data[:cut])
    with pytest.raises(CheckpointError, match="E0310"):
        open_path(tmp_path / "m.pt")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells the memory")
def test_four_gigabytes_take_no_memory(tmp_path: Path) -> None:
    """A sparse file of 4 GB of which one tensor is wanted."""
    program = f"""
import torch
path = {str(tmp_path / "pytorch_model.bin")!r}
small = {{"big": torch.empty(1), "wanted": torch.arange(1000.0)}}
torch.save(small, path)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    _grow(tmp_path / "pytorch_model.bin")
    recipe = tmp_path / "r.merge"
    recipe.write_text('save "./pytorch_model.bin" to "./out" { dtype = float32 }')
    program = (
        "import mergec, re\n"
        f"plan = mergec.compile({str(recipe)!r})\n"
        "source = plan.sources['./pytorch_model.bin']\n"
        "tensor = source.tensors['wanted']\n"
        "data = bytearray(tensor.nbytes)\n"
        "tensor.reader(lambda file: file.open()).read(0, memoryview(data))\n"
        "assert source.nbytes > 4e9 and bytes(data[4:8]) == b'\\0\\0\\x80?'\n"
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert int(done.stdout) < 130 * 1024


def _grow(path: Path) -> None:
    """Make the tensor `big` one of 2**30 elements: a hole in the file, and a table that says so."""
    source = zipfile.ZipFile(path)
    members = {info.filename: source.read(info) for info in source.infolist()}
    source.close()
    folder = next(iter(members)).split("/")[0]
    huge = 2**30
    pickled = members[f"{folder}/data.pkl"]
    assert pickled.count(b"K\0K\x01\x85") == 1  # the offset 0, the shape (1,)
    shape = b"K\0J" + huge.to_bytes(4, "little") + b"\x85"
    members[f"{folder}/data.pkl"] = pickled.replace(b"K\0K\x01\x85", shape)
    with zipfile.ZipFile(path, "w", allowZip64=True) as target:
        for name, data in members.items():
            if name != f"{folder}/data/0":
                target.writestr(name, data)
        info = zipfile.ZipInfo(f"{folder}/data/0")
        info.file_size = info.compress_size = 4 * huge
        with target.open(info, "w", force_zip64=True) as stream:
            target.fp.seek(4 * huge - 1, os.SEEK_CUR)  # type: ignore[union-attr]
            target.fp.write(b"\0")  # type: ignore[union-attr]
            stream._file_size = stream._compress_size = 4 * huge  # type: ignore[attr-defined]
