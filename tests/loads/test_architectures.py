"""Merges of each shape of architecture load in transformers, speak, and are what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from support.loading import generated, load, logits
from support.merging import merge, read_checkpoint

IDS = torch.arange(5, 13)[None]
CAUSAL = "AutoModelForCausalLM"
_SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
_WIDE = {**_SMALL, "intermediate_size": 48, "num_key_value_heads": 2}
_IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


class Shape(NamedTuple):
    """An architecture: its config's class and values, what loads it, whether it generates."""

    config: str
    values: dict[str, Any]
    kind: str = CAUSAL
    speaks: bool = True


SHAPES = {
    "llama": Shape("LlamaConfig", {**_WIDE, **_IDS}),
    "llama-tied": Shape("LlamaConfig", {**_WIDE, **_IDS, "tie_word_embeddings": True}),
    "mistral": Shape("MistralConfig", {**_WIDE, **_IDS}),
    "qwen2": Shape("Qwen2Config", {**_WIDE, **_IDS}),
    "qwen3": Shape("Qwen3Config", {**_WIDE, **_IDS, "head_dim": 8}),
    "gemma2": Shape("Gemma2Config", {**_WIDE, **_IDS, "head_dim": 8}),
    "gpt2": Shape(
        "GPT2Config", {"vocab_size": 64, "n_embd": 32, "n_layer": 3, "n_head": 4, **_IDS}
    ),
    "bert": Shape("BertConfig", {**_SMALL, "intermediate_size": 48}, "AutoModelForMaskedLM", False),
    "t5": Shape(
        "T5Config",
        {
            "vocab_size": 64,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 48,
            "num_layers": 3,
            "num_heads": 4,
            "decoder_start_token_id": 0,
            **_IDS,
        },
        "AutoModelForSeq2SeqLM",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of each shape: NAME-a, NAME-b."""
    place = tmp_path_factory.mktemp("models")
    for name, shape in SHAPES.items():
        config = getattr(transformers, shape.config)(**shape.values)
        made: Any = getattr(transformers, shape.kind)
        for number, model in enumerate("ab"):
            torch.manual_seed(number)
            made.from_config(config).save_pretrained(place / f"{name}-{model}")
    return place


@pytest.mark.parametrize("name", SHAPES)
def test_a_merge_loads_and_speaks(name: str, folder: Path, tmp_path: Path) -> None:
    recipe = f'save linear {{ "./{name}-a" weight=0.6, "./{name}-b" weight=0.4 }} to "out"'
    merge(recipe, tmp_path / "out", folder=folder)
    model = load(tmp_path / "out", SHAPES[name].kind)
    if SHAPES[name].speaks:
        assert len(generated(model, IDS)) == 4


@pytest.mark.parametrize("name", SHAPES)
def test_a_slerp_at_0_is_its_parent(name: str, folder: Path, tmp_path: Path) -> None:
    merge(
        f'save slerp {{ "./{name}-a", "./{name}-b", t = 0 }} to "out"',
        tmp_path / "out",
        folder=folder,
    )
    found, parent = (
        load(place, SHAPES[name].kind) for place in (tmp_path / "out", folder / f"{name}-a")
    )
    assert torch.equal(logits(found, IDS), logits(parent, IDS))
    tied = parent.config.tie_word_embeddings
    assert found.config.tie_word_embeddings == tied
    if tied and name != "bert":
        assert found.get_output_embeddings().weight is found.get_input_embeddings().weight


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "t5"])
def test_a_frankenmerge_has_the_layers_that_it_says(
    name: str, folder: Path, tmp_path: Path
) -> None:
    recipe = f'save stack {{ "./{name}-a"[0:2], "./{name}-b"[1:3], "./{name}-a"[2:3] }} to "out"'
    merge(recipe, tmp_path / "out", folder=folder)
    model = load(tmp_path / "out", SHAPES[name].kind)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config.get("num_hidden_layers", config.get("n_layer")) == 5
    if SHAPES[name].speaks:
        assert len(generated(model, IDS)) == 4


def test_a_union_has_every_parents_tokens_and_rows(tmp_path: Path) -> None:
    from support.tokenizers import CHATML, make_models

    make_models(tmp_path)
    recipe = (
        'save linear { "./base" weight=1, "./chatml" weight=1, "./other" weight=1 } '
        'to "out" { tokenizer = union { pad_to = 16 }, chat_template = chatml }'
    )
    merge(recipe, tmp_path / "out", folder=tmp_path)
    model = load(tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert model.config.vocab_size == 80 and len(tokenizer) == 72
    rows = model.get_input_embeddings().weight.detach()
    for parent, tokens in (("chatml", CHATML), ("other", ("_new_0", "_new_5"))):
        known = transformers.AutoTokenizer.from_pretrained(tmp_path / parent)
        theirs = read_checkpoint(tmp_path / parent)["model.embed_tokens.weight"]
        for token in tokens:
            number = tokenizer.convert_tokens_to_ids(token)
            assert tokenizer.encode(token, add_special_tokens=False) == [number]
            assert tokenizer.decode([number]) == token
            own = theirs[known.convert_tokens_to_ids(token)].float()
            assert torch.allclose(rows[number], own, atol=1e-6)
        assert set(known.all_special_tokens) <= set(tokenizer.all_special_tokens)
    talk = [{"role": "user", "content": "_tok_3"}]
    text = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\n_tok_3<|im_end|>\n<|im_start|>assistant\n"
    assert len(generated(model, tokenizer(text, return_tensors="pt").input_ids)) == 4


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe", "qwen3_moe"])
def test_a_mixture_loads_and_speaks(family: str, folder: Path, tmp_path: Path) -> None:
    name = {"mixtral": "mistral", "qwen2_moe": "qwen2", "qwen3_moe": "qwen3"}[family]
    shared = f'"./{name}-b" shared=true\n' if family == "qwen2_moe" else ""
    recipe = (
        f'save moe {{ base = "./{name}-a", gate = uniform, top_k = 2, architecture = {family}\n'
        f'"./{name}-a", slerp {{ "./{name}-a", "./{name}-b", t = 0.5 }}, "./{name}-b"\n'
        f'{shared}}} to "out"'
    )
    merge(recipe, tmp_path / "out", folder=folder)
    model = load(tmp_path / "out")
    assert model.config.model_type == family
    assert len(generated(model, IDS)) == 4


@pytest.mark.parametrize(
    ("name", "gate"), [("llama", "uniform"), ("mistral", "random"), ("qwen3", "uniform")]
)
def test_a_mixture_of_one_model_is_that_model(
    name: str, gate: str, folder: Path, tmp_path: Path
) -> None:
    experts = ", ".join([f'"./{name}-a"'] * 3)
    recipe = f'save moe {{ base = "./{name}-a", gate = {gate}, {experts} }} to "out"'
    merge(recipe, tmp_path / "out", folder=folder)
    found, dense = load(tmp_path / "out"), load(folder / f"{name}-a")
    assert torch.allclose(logits(found, IDS), logits(dense, IDS), rtol=0, atol=1e-5)
