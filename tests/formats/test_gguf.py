"""GGUF files against the gguf package's own decoder and transformers' own names."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import mergec
import numpy as np
import pytest
import torch
from mergec.grammar.diagnostics import CheckpointError
from support.merging import read_checkpoint
from support.stores import open_path

from .test_torch_archive import values_of

gguf = pytest.importorskip("gguf")
transformers = pytest.importorskip("transformers")

HIDDEN, HEADS, SHARED, LAYERS, VOCAB, WIDE = 256, 4, 2, 2, 64, 512
KINDS = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q4_K", "Q5_K", "Q6_K"]
SHAPES = {
    "token_embd.weight": (VOCAB, HIDDEN),
    "output_norm.weight": (HIDDEN,),
    "output.weight": (VOCAB, HIDDEN),
    "blk.{}.attn_norm.weight": (HIDDEN,),
    "blk.{}.ffn_norm.weight": (HIDDEN,),
    "blk.{}.attn_q.weight": (HIDDEN, HIDDEN),
    "blk.{}.attn_k.weight": (HIDDEN * SHARED // HEADS, HIDDEN),
    "blk.{}.attn_v.weight": (HIDDEN * SHARED // HEADS, HIDDEN),
    "blk.{}.attn_output.weight": (HIDDEN, HIDDEN),
    "blk.{}.ffn_gate.weight": (WIDE, HIDDEN),
    "blk.{}.ffn_up.weight": (WIDE, HIDDEN),
    "blk.{}.ffn_down.weight": (HIDDEN, WIDE),
}


def quantised(values: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    """The bytes of a type; of those that the package can't make, random blocks of sane scales."""
    type_ = gguf.GGMLQuantizationType[kind]
    if not kind.endswith("_K"):
        found: np.ndarray[Any, Any] = gguf.quants.quantize(values, type_)
        return found
    elements, size = gguf.constants.GGML_QUANT_SIZES[type_]
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (values.size // elements, size), dtype=np.uint8)
    scale = np.frombuffer(np.float16(0.01).tobytes(), dtype=np.uint8)
    places = (size - 2,) if kind == "Q6_K" else (0, 2)
    for place in places:
        blocks[:, place : place + 2] = scale
    return blocks.reshape(values.shape[0], -1)


def write(path: Path, kind: str = "Q8_0", architecture: str = "llama", **more: Any) -> Path:
    """A model of random weights."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(SHARED)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(VOCAB)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"<{n}>" for n in range(VOCAB)])
    writer.add_token_scores([0.0] * VOCAB)
    writer.add_token_types([1] * VOCAB)
    random = np.random.default_rng(1)
    for name, shape in {**SHAPES, **more}.items():
        for layer in range(LAYERS) if "{}" in name else (0,):
            values = random.normal(0, 0.1, shape).astype(np.float32)
            if len(shape) == 1:
                writer.add_tensor(name.format(layer), values)
            else:
                type_ = gguf.GGMLQuantizationType[kind]
                raw = quantised(values, kind)
                writer.add_tensor(name.format(layer), raw, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def decoded(path: Path) -> dict[str, torch.Tensor]:
    found = {}
    for name, tensor in open_path(path).tensors.items():
        values = torch.frombuffer(
            bytearray(values_of(tensor, 9_999)), dtype=getattr(torch, tensor.dtype.name)
        )
        found[name] = values.reshape(tensor.shape).to(torch.float32)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_is_decoded_as_the_package_does(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "m.gguf", kind, "qwen2")
    found = decoded(path)
    reader = gguf.GGUFReader(path)
    names = {"blk.0.ffn_up.weight": "model.layers.0.mlp.up_proj.weight"}
    names |= {"token_embd.weight": "model.embed_tokens.weight", "output.weight": "lm_head.weight"}
    seen = 0
    for tensor in reader.tensors:
        if tensor.name in names:
            expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            ours = found[names[tensor.name]].numpy()
            assert ours.reshape(-1).tobytes() == expected.astype(np.float32).tobytes()
            seen += 1
    assert seen == len(names)


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0", "Q4_0"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_names_and_rows_are_those_of_transformers(
    tmp_path: Path, kind: str, architecture: str
) -> None:
    sizes = {"q": HIDDEN, "k": HIDDEN * SHARED // HEADS, "v": HIDDEN * SHARED // HEADS}
    biases = {f"blk.{{}}.attn_{part}.bias": (size,) for part, size in sizes.items()}
    more = biases if architecture == "qwen2" else {}
    path = write(tmp_path / "m.gguf", kind, architecture, **more)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="m.gguf", dtype=torch.float32
    )
    expected, config = model.state_dict(), model.config
    found = decoded(path)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    ours = open_path(path).config
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_key_value_heads")
    assert {key: ours[key] for key in keys} == {key: getattr(config, key) for key in keys}


def test_a_merge_that_transformers_loads(tmp_path: Path) -> None:
    write(tmp_path / "a.gguf", "Q8_0")
    write(tmp_path / "b.gguf", "Q4_0")
    recipe = f'save slerp {{ "{tmp_path}/a.gguf", "{tmp_path}/b.gguf", t = 0.5 }}'
    mergec.run(mergec.compile(f'{recipe} to "{tmp_path}/out" {{ dtype = bfloat16 }}'))
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model(torch.arange(5)[None]).logits.isfinite().all()
    assert {v.dtype for v in read_checkpoint(tmp_path / "out").values()} == {torch.bfloat16}


def test_other_architectures_and_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"E0334.*gemma2"):
        open_path(write(tmp_path / "g.gguf", "F16", "gemma2"))
    path = write(tmp_path / "m.gguf", "F16", "llama", **{"blk.{}.strange.weight": (4, 32)})
    with pytest.raises(CheckpointError, match=r"E0334.*strange"):
        open_path(path)


BROKEN = {
    "not GGUF": b"GGML" + bytes(100),
    "empty": b"",
    "an old version": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    "too many tensors": b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
    "cut in a key": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**40) + b"abc",
    "an unknown fact": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<I", 99),
    "a list of lists": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a"
    + struct.pack("<IIQ", 9, 9, 1),
}  # fmt: skip


@pytest.mark.parametrize("title", BROKEN)
def test_broken_headers_are_one_error(tmp_path: Path, title: str) -> None:
    (tmp_path / "m.gguf").write_bytes(BROKEN[title])
    with pytest.raises(CheckpointError, match="E0310"):
        open_path(tmp_path / "m.gguf")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_cut_files(tmp_path: Path, share: float) -> None:
    data = write(tmp_path / "m.gguf").read_bytes()
    (tmp_path / "m.gguf").write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"E0313|E0310"):
        open_path(tmp_path / "m.gguf")
