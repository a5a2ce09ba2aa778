"""`model + lora { … }` against peft's own `merge_and_unload`, for each of its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mergec
import numpy as np
import pytest
import torch
from mergec.grammar.diagnostics import MergecError
from safetensors.torch import load_file, save_file
from support.merging import read_checkpoint

peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

Weights = dict[str, torch.Tensor]
LLAMA: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "tie_word_embeddings": False,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "down_proj"]},
    "rslora": {"r": 8, "lora_alpha": 16, "use_rslora": True, "target_modules": ["q_proj"]},
    "patterns": {
        "r": 8,
        "lora_alpha": 16,
        "rank_pattern": {"q_proj": 4, "layers.1.mlp.down_proj": 2},
        "alpha_pattern": {"k_proj": 3, "layers.0.self_attn.q_proj": 5},
        "target_modules": ["q_proj", "k_proj", "down_proj"],
    },
    "modules_to_save": {"r": 8, "target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "embeddings": {"r": 8, "target_modules": ["q_proj", "embed_tokens"]},
    "some_layers": {"r": 4, "target_modules": ["v_proj"], "layers_to_transform": [1]},
    "biases": {"r": 4, "target_modules": ["v_proj"], "bias": "all"},
}


def model_of(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base, a Llama; gpt2, whose linear layers are stored the other way round."""
    place = tmp_path_factory.mktemp("adapters")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**LLAMA)
    transformers.LlamaForCausalLM(config).save_pretrained(place / "base")
    tiny = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=64, n_positions=16)
    transformers.GPT2LMHeadModel(tiny).save_pretrained(place / "gpt2")
    return place


def make_adapter(folder: Path, name: str, seed: int = 1, base: str = "base", **config: Any) -> Path:
    """An adapter with random factors, as peft saves it."""
    torch.manual_seed(seed)
    adapted = peft.get_peft_model(
        model_of(folder / base), peft.LoraConfig(task_type="CAUSAL_LM", **config)
    )
    for key, value in adapted.named_parameters():
        if "lora" in key or "modules_to_save" in key:
            torch.nn.init.normal_(value, std=0.05)
    adapted.save_pretrained(folder / name)
    return folder / name


def merged_by_peft(folder: Path, *names: str, base: str = "base") -> Weights:
    model = model_of(folder / base)
    for name in names:
        model = peft.PeftModel.from_pretrained(model, folder / name).merge_and_unload()
    found: Weights = model.state_dict()
    return found


def merged(folder: Path, expression: str, out: str, **settings: Any) -> Weights:
    said = " ".join(f"{key} = {value}" for key, value in ({"dtype": "float32"} | settings).items())
    text = f'save {expression} to "{folder / out}" {{ {said} }}'.replace('"./', f'"{folder}/')
    mergec.run(mergec.compile(text))
    return read_checkpoint(folder / out)


def assert_close(found: Weights, expected: Weights) -> None:
    for name, value in found.items():
        scale = float(expected[name].abs().max())
        assert float((value - expected[name]).abs().max()) <= 4e-7 * max(scale, 0.1), name


@pytest.mark.parametrize("setting", SETTINGS)
def test_merged_weights_are_those_of_peft(folder: Path, setting: str) -> None:
    make_adapter(folder, setting, **SETTINGS[setting])
    found = merged(folder, f'"./base" + lora {{ "./{setting}" }}', f"out-{setting}")
    expected = merged_by_peft(folder, setting)
    assert set(found) == set(expected)
    assert_close(found, expected)
    base = read_checkpoint(folder / "base")
    assert any(not torch.equal(base[name], value) for name, value in found.items())


def test_layers_stored_the_other_way_round(folder: Path) -> None:
    make_adapter(folder, "gpt", base="gpt2", r=4, target_modules=["c_attn"], fan_in_fan_out=True)
    found = merged(folder, '"./gpt2" + lora { "./gpt" }', "out-gpt")
    assert_close(found, merged_by_peft(folder, "gpt", base="gpt2"))


def test_several_on_one_base(folder: Path) -> None:
    make_adapter(folder, "one", 1, **SETTINGS["plain"])
    make_adapter(folder, "two", 2, **SETTINGS["rslora"])
    found = merged(folder, '"./base" + lora { "./one" } + lora { "./two" }', "out-both")
    assert_close(found, merged_by_peft(folder, "one", "two"))


def test_a_scale(folder: Path) -> None:
    make_adapter(folder, "scaled", **SETTINGS["plain"])
    base = read_checkpoint(folder / "base")
    whole = merged(folder, '"./base" + lora { "./scaled" }', "out-1")
    half = merged(folder, '"./base" + lora { "./scaled" scale=0.5 }', "out-half")
    again = merged(folder, '"./base" + 0.5 * lora { "./scaled" }', "out-half-again")
    minus = merged(folder, '"./base" - lora { "./scaled" }', "out-minus")
    for name, value in base.items():
        torch.testing.assert_close(half[name] - value, (whole[name] - value) / 2)
        torch.testing.assert_close(minus[name] - value, value - whole[name])
        assert torch.equal(half[name], again[name])


def test_methods_take_adapted_models_as_any_other(folder: Path) -> None:
    make_adapter(folder, "m1", 1, **SETTINGS["plain"])
    make_adapter(folder, "m2", 2, **SETTINGS["rslora"])
    block = 'ties {{ base = "./base", {} weight=0.5 density=0.5, {} weight=0.5 density=0.5 }}'
    lazy = merged(
        folder, block.format('"./base" + lora { "./m1" }', '"./base" + lora { "./m2" }'), "out-lazy"
    )
    for name in ("m1", "m2"):
        merged(folder, f'"./base" + lora {{ "./{name}" }}', f"full-{name}")
    stored = merged(folder, block.format('"./full-m1"', '"./full-m2"'), "out-stored")
    for name, value in lazy.items():
        assert torch.equal(value, stored[name]), name


def test_the_output_has_the_models_dtype(folder: Path) -> None:
    make_adapter(folder, "for16", **SETTINGS["plain"])
    merged(folder, '"./base"', "base16", dtype="bfloat16")
    text = f'save "{folder}/base16" + lora {{ "{folder}/for16" }} to "{folder}/out16" {{}}'
    mergec.run(mergec.compile(text))
    assert {v.dtype for v in read_checkpoint(folder / "out16").values()} == {torch.bfloat16}


def test_the_bytes_hang_neither_on_threads_nor_on_memory(folder: Path) -> None:
    make_adapter(folder, "bytes", **SETTINGS["plain"])
    text = f'save "{folder}/base" + lora {{ "{folder}/bytes" }} to "OUT" {{ dtype = float16 }}'
    found = []
    for number, options in enumerate(({"threads": 1}, {"threads": 3}, {"memory": "min"})):
        out = folder / f"out-bytes-{number}"
        mergec.run(mergec.compile(text.replace("OUT", str(out)), **options))  # type: ignore[arg-type]
        found.append((out / "model.safetensors").read_bytes())
    assert found[0] == found[1] == found[2]


def test_yaml_says_model_plus_lora(folder: Path) -> None:
    make_adapter(folder, "yaml", **SETTINGS["plain"])
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"merge_method: linear\ndtype: float32\nmodels:\n"
        f"  - model: {folder}/base+{folder}/yaml\n    parameters: {{weight: 1.0}}\n"
    )
    mergec.run(mergec.compile(recipe, out=folder / "out-yaml"))
    assert_close(read_checkpoint(folder / "out-yaml"), merged_by_peft(folder, "yaml"))


def refused(folder: Path, expression: str) -> str:
    with pytest.raises(MergecError) as caught:
        merged(folder, expression, "refused")
    return str(caught.value)


def test_dora_is_refused_by_name(folder: Path) -> None:
    make_adapter(folder, "dora", r=4, target_modules=["q_proj"], use_dora=True)
    said = refused(folder, '"./base" + lora { "./dora" }')
    assert "E0328" in said and "DoRA" in said and "merge_and_unload" in said


def test_an_adapter_of_another_model_is_refused(folder: Path) -> None:
    make_adapter(folder, "other", base="gpt2", r=4, target_modules=["c_attn"], fan_in_fan_out=True)
    assert "E0329" in refused(folder, '"./base" + lora { "./other" }')


def test_a_model_is_no_adapter_and_an_adapter_no_model(folder: Path) -> None:
    make_adapter(folder, "plainly", **SETTINGS["plain"])
    assert "E0317" in refused(folder, '"./base" + lora { "./gpt2" }')
    said = refused(folder, 'linear { "./base" weight=1, "./plainly" weight=1 }')
    assert "E0317" in said and "model + lora" in said


def test_factors_that_do_not_fit_are_refused(folder: Path) -> None:
    made = make_adapter(folder, "unfit", r=4, target_modules=["q_proj"])
    values = load_file(made / "adapter_model.safetensors")
    name = next(name for name in values if "lora_A" in name)
    values[name] = torch.zeros(3, 64)
    save_file(values, made / "adapter_model.safetensors")
    assert "don't fit" in refused(folder, '"./base" + lora { "./unfit" }')


def test_replacements_are_no_delta(folder: Path) -> None:
    make_adapter(folder, "whole", **SETTINGS["modules_to_save"])
    make_adapter(folder, "thin", **SETTINGS["plain"])
    said = refused(folder, '"./base" + (lora { "./whole" } + lora { "./thin" })')
    assert "E0328" in said and "replaces whole tensors" in said


def test_deltas_of_adapters_add_up(folder: Path) -> None:
    make_adapter(folder, "d1", 1, **SETTINGS["plain"])
    make_adapter(folder, "d2", 2, **SETTINGS["plain"])
    found = merged(folder, '"./base" + 0.5 * (lora { "./d1" } + lora { "./d2" })', "out-sum")
    base = read_checkpoint(folder / "base")
    one, two = (merged_by_peft(folder, name) for name in ("d1", "d2"))
    for name, value in found.items():
        expected = base[name] + 0.5 * (one[name] + two[name] - 2 * base[name])
        np.testing.assert_allclose(value, expected, atol=1e-6)
