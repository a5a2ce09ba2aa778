"""Quantised weights, bit for bit what the libraries that made them decode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mergec
import pytest
import torch
from mergec.checkpoints.values import float8_values
from mergec.grammar.diagnostics import CheckpointError
from safetensors.torch import save_file
from support.merging import read_checkpoint
from support.stores import open_path

from .test_torch_archive import values_of

E4M3 = torch.float8_e4m3fn


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_every_8_bit_float(dtype: torch.dtype) -> None:
    every = torch.arange(256, dtype=torch.uint8).view(dtype).to(torch.float32)
    found = torch.from_numpy(float8_values(str(dtype).removeprefix("torch.")))
    assert torch.equal(
        found.view(torch.int32)[~every.isnan()], every.view(torch.int32)[~every.isnan()]
    )
    assert torch.equal(found.isnan(), every.isnan())


def save(folder: Path, tensors: dict[str, torch.Tensor], config: Any = None) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config or {"torch_dtype": "bfloat16"}))
    return folder


def decoded(folder: Path, name: str) -> torch.Tensor:
    """A tensor read in pieces that cut rows and blocks."""
    tensor = open_path(folder).tensors[name]
    values = torch.frombuffer(bytearray(values_of(tensor)), dtype=torch.float32)
    return values.reshape(tensor.shape)


def fp8(*shape: int) -> torch.Tensor:
    return torch.randn(shape).to(E4M3)


def reference(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """transformers' own."""
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    found: torch.Tensor = Fp8Dequantize(None)._dequantize_one(weight, scale, torch.float32)
    return found


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("grid", [(2, 3), (1, 1), (32, 1), (1, 3), (32, 3)])
def test_blocks(tmp_path: Path, batch: tuple[int, ...], grid: tuple[int, int]) -> None:
    torch.manual_seed(0)
    weight, scale = fp8(*batch, 32, 48), torch.rand(*batch, *grid) + 0.5
    save(tmp_path, {"m.weight": weight, "m.weight_scale_inv": scale})
    assert torch.equal(decoded(tmp_path, "m.weight"), reference(weight, scale))


def test_the_last_blocks_may_be_smaller(tmp_path: Path) -> None:
    """As in DeepSeek-V3, whose own kernel divides by the block size and rounds up."""
    torch.manual_seed(0)
    weight, scale = fp8(20, 50), torch.rand(3, 4) + 0.5
    config = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [8, 16]}}
    save(tmp_path, {"m.weight": weight, "m.weight_scale_inv": scale}, config)
    whole = scale.repeat_interleave(8, 0)[:20].repeat_interleave(16, 1)[:, :50]
    assert torch.equal(decoded(tmp_path, "m.weight"), weight.to(torch.float32) * whole)


@pytest.mark.parametrize(
    ("strategy", "shape"),
    [("tensor", (1,)), ("channel", (32, 1)), ("group", (32, 3)), ("channel", (32,))],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compressed_tensors(
    tmp_path: Path, strategy: str, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    forward = pytest.importorskip("compressed_tensors.quantization.lifecycle.forward")
    torch.manual_seed(0)
    weight, scale = fp8(32, 48), (torch.rand(shape) + 0.5).to(dtype)
    tensors = {"m.weight": weight, "m.weight_scale": scale, "m.input_scale": torch.ones(1)}
    save(tmp_path, tensors)
    grid = scale.reshape(-1, 1) if len(shape) == 1 and shape[0] > 1 else scale
    arguments = pytest.importorskip("compressed_tensors.quantization").QuantizationArgs(
        num_bits=8, type="float", strategy=strategy, group_size=16 if strategy == "group" else None
    )
    expected = forward.dequantize(weight, grid.to(torch.float32), args=arguments)
    assert torch.equal(decoded(tmp_path, "m.weight"), expected.to(torch.float32))
    assert set(open_path(tmp_path).tensors) == {"m.weight"}


def test_mxfp4(tmp_path: Path) -> None:
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    torch.manual_seed(0)
    blocks = torch.randint(0, 256, (3, 10, 4, 16), dtype=torch.uint8)
    scales = torch.randint(110, 140, (3, 10, 4), dtype=torch.uint8)
    bias = torch.randn(3, 10).to(torch.bfloat16)
    name = "model.layers.0.mlp.experts.gate_up_proj"
    save(tmp_path, {f"{name}_blocks": blocks, f"{name}_scales": scales, f"{name}_bias": bias})
    expected = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    assert torch.equal(decoded(tmp_path, name), expected)
    assert set(open_path(tmp_path).tensors) == {name, f"{name}_bias"}


def test_a_scale_in_another_shard_and_what_becomes_of_the_config(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weight, scale = fp8(32, 48), torch.rand(2, 3) + 0.5
    source = tmp_path / "source"
    source.mkdir()
    save_file({"m.weight": weight}, source / "a.safetensors")
    save_file({"m.weight_scale_inv": scale, "n.weight": torch.ones(4)}, source / "b.safetensors")
    weight_map = {"m.weight": "a.safetensors", "m.weight_scale_inv": "b.safetensors"}
    weight_map["n.weight"] = "b.safetensors"
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    quantised = {"quant_method": "fp8", "weight_block_size": [16, 16]}
    config = {"model_type": "x", "torch_dtype": "bfloat16", "quantization_config": quantised}
    (source / "config.json").write_text(json.dumps(config))
    mergec.run(mergec.compile(f'save "{source}" to "{tmp_path}/out" {{}}'))
    out = read_checkpoint(tmp_path / "out")
    assert torch.equal(out["m.weight"], reference(weight, scale).to(torch.bfloat16))
    assert set(out) == {"m.weight", "n.weight"}
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())


def test_a_merge_of_an_8_bit_model_with_its_original(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weight, scale, other = (
        fp8(32, 48),
        torch.rand(32, 1) + 0.5,
        torch.randn(32, 48).to(torch.bfloat16),
    )
    save(tmp_path / "a", {"m.weight": weight, "m.weight_scale": scale})
    save(tmp_path / "b", {"m.weight": other})
    recipe = f'save linear {{ "{tmp_path}/a" weight=0.5, "{tmp_path}/b" weight=0.5 }}'
    mergec.run(mergec.compile(f'{recipe} to "{tmp_path}/out" {{}}'))
    found = read_checkpoint(tmp_path / "out")["m.weight"]
    expected = (reference(weight, scale) * 0.5 + other.to(torch.float32) * 0.5).to(torch.bfloat16)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected)


BAD: dict[str, dict[str, torch.Tensor]] = {
    "a scale of another shape": {"m.weight": fp8(8, 8), "m.weight_scale": torch.ones(3, 3)},
    "a scale of whole numbers": {
        "m.weight": fp8(8, 8),
        "m.weight_scale": torch.ones(8, 1, dtype=torch.int32),
    },
    "8-bit whole numbers": {
        "m.weight": torch.ones(8, 8, dtype=torch.int8),
        "m.weight_scale": torch.ones(8, 1),
    },
    "GPTQ": {"m.qweight": torch.ones(8, 8, dtype=torch.int32), "m.scales": torch.ones(8)},
    "packed whole numbers": {"m.weight_packed": torch.ones(8, 8, dtype=torch.int32)},
    "MXFP4 of another block": {
        "m_blocks": torch.ones(2, 4, 2, 8, dtype=torch.uint8),
        "m_scales": torch.ones(2, 4, 2, dtype=torch.uint8),
    },
}


@pytest.mark.parametrize("title", BAD)
def test_what_cannot_be_decoded_is_refused(tmp_path: Path, title: str) -> None:
    with pytest.raises(CheckpointError, match="E0332"):
        open_path(save(tmp_path, BAD[title]))
