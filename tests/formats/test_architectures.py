"""The whole path for models of every shape: merged, loaded by transformers, computed with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mergec
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.merging import read_checkpoint

transformers = pytest.importorskip("transformers")


def bert() -> Any:
    return transformers.BertModel(
        transformers.BertConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
            vocab_size=64,
        )
    )  # fmt: skip


def gpt2() -> Any:
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=64, n_positions=16)
    )


def t5() -> Any:
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            d_model=32, d_ff=48, d_kv=8, num_layers=2, num_heads=2, vocab_size=64,
            decoder_start_token_id=0,
        )
    )  # fmt: skip


def mamba() -> Any:
    return transformers.MambaForCausalLM(
        transformers.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=64, state_size=8)
    )


def experts() -> Any:
    return transformers.MixtralForCausalLM(
        transformers.MixtralConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, num_local_experts=4, vocab_size=64,
        )
    )  # fmt: skip


MODELS: dict[str, Callable[[], Any]] = {
    "bert": bert,
    "gpt2": gpt2,
    "t5": t5,
    "mamba": mamba,
    "experts": experts,
}


def logits(model: Any) -> torch.Tensor:
    model.eval()
    ids = torch.arange(8)[None]
    options = {"decoder_input_ids": ids} if "T5" in type(model).__name__ else {}
    with torch.no_grad():
        found = model(ids, **options)
    result: torch.Tensor = found[0]
    return result


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("saved", ["safetensors", "bin"])
def test_models_of_every_shape(tmp_path: Path, kind: str, saved: str) -> None:
    """A linear merge, computed by torch on the loaded models' parameters, then by mergec."""
    models = []
    for seed, name in enumerate(("a", "b")):
        torch.manual_seed(seed)
        model = MODELS[kind]()
        model.save_pretrained(tmp_path / name)
        models.append(model)
        if saved == "bin":
            weights = load_file(tmp_path / name / "model.safetensors")
            torch.save(weights, tmp_path / name / "pytorch_model.bin")
            (tmp_path / name / "model.safetensors").unlink()
    recipe = (
        f'save linear {{ "{tmp_path}/a" weight=0.75, "{tmp_path}/b" weight=0.25 }} '
        f'to "{tmp_path}/out" {{ dtype = float32 }}'
    )
    mergec.run(mergec.compile(recipe))
    loaded, info = type(models[0]).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    first, second = (dict(model.named_parameters()) for model in models)
    with torch.no_grad():
        for name, value in first.items():
            value.mul_(0.75).add_(second[name], alpha=0.25)
    torch.testing.assert_close(logits(loaded), logits(models[0]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["gpt2", "mamba", "experts"])
def test_their_layers_stack(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    model = MODELS[kind]()
    model.save_pretrained(tmp_path / "a")
    source = f'"{tmp_path}/a"'
    mergec.run(
        mergec.compile(f'save stack {{ {source}[0:2], {source}[1:2] }} to "{tmp_path}/out" {{}}')
    )
    deeper = type(model).from_pretrained(tmp_path / "out")
    assert logits(deeper).isfinite().all()
    assert len(read_checkpoint(tmp_path / "out")) > len(read_checkpoint(tmp_path / "a"))


SDXL = {
    "model.diffusion_model.input_blocks.0.0.weight": (32, 4, 3, 3),
    "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight": (32, 32),
    "model.diffusion_model.middle_block.1.transformer_blocks.9.ff.net.0.proj.weight": (64, 32),
    "model.diffusion_model.output_blocks.8.0.in_layers.0.weight": (32,),
    "model.diffusion_model.time_embed.0.weight": (32, 32),
    "first_stage_model.encoder.conv_in.weight": (16, 3, 3, 3),
    "first_stage_model.post_quant_conv.bias": (4,),
    "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight": (32, 16),
    "conditioner.embedders.0.transformer.text_model.embeddings.position_ids": (1, 77),
    "conditioner.embedders.1.model.transformer.resblocks.31.attn.in_proj_weight": (96, 32),
    "conditioner.embedders.1.model.logit_scale": (),
}


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_single_files_of_diffusion_models(tmp_path: Path, suffix: str) -> None:
    """Stable Diffusion XL's names: one file, no config, a `match` for the U-Net alone."""
    files = []
    for seed, name in enumerate(("a", "b")):
        torch.manual_seed(seed)
        tensors = {key: torch.randn(shape).to(torch.float16) for key, shape in SDXL.items()}
        ids = next(key for key in tensors if key.endswith("position_ids"))
        tensors[ids] = torch.arange(77)[None]
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "ckpt":
            torch.save({"state_dict": tensors, "global_step": 7}, path)
        else:
            save_file(tensors, path)
        files.append(tensors)
    recipe = (
        f'save linear {{\n  "{tmp_path}/a.{suffix}" weight=match {{ diffusion_model: 0.5, _: 1 }}\n'
        f'  "{tmp_path}/b.{suffix}" weight=match {{ diffusion_model: 0.5, _: 0 }}\n'
        f'}} to "{tmp_path}/out" {{ dtype = float16 }}'
    )
    mergec.run(mergec.compile(recipe))
    found = read_checkpoint(tmp_path / "out")
    assert set(found) == set(SDXL)
    for name, value in found.items():
        first, second = (tensors[name] for tensors in files)
        if "diffusion_model" in name:
            expected = (first.float() * 0.5 + second.float() * 0.5).half()
            torch.testing.assert_close(value, expected)
        else:
            assert torch.equal(value, first), name


def test_a_folder_of_diffusers(tmp_path: Path) -> None:
    """An index by another name than transformers'."""
    folder = tmp_path / "unet"
    folder.mkdir()
    stem = "diffusion_pytorch_model"
    parts = {"a.weight": torch.ones(3), "b.weight": torch.zeros(3)}
    weight_map = {}
    for number, (name, value) in enumerate(parts.items(), 1):
        file = f"{stem}-0000{number}-of-00002.safetensors"
        save_file({name: value}, folder / file)
        weight_map[name] = file
    index = folder / f"{stem}.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    mergec.run(mergec.compile(f'save "{folder}" to "{tmp_path}/out" {{}}'))
    assert set(read_checkpoint(tmp_path / "out")) == set(parts)
