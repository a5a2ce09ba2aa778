"""Layer structures of many architectures, from their tensor names alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from mergec.checkpoints.layers import Layers, is_head
from support.checkpoints import mistral_shapes


class Case(NamedTuple):
    names: list[str]
    config: dict[str, Any]
    stacks: list[tuple[str, int]]
    leading: list[str]
    trailing: list[str]


def numbered(prefix: str, count: int, *suffixes: str) -> list[str]:
    return [f"{prefix}{n}.{s}" for n in range(count) for s in suffixes or ("w.weight", "w.bias")]


LLAMA = list(mistral_shapes(12, 8, 16, 32, 4))
EXPERTS = [
    f"model.layers.{layer}.mlp.experts.{expert}.up_proj.weight"
    for layer in range(8)
    for expert in range(8)
]
T5_BLOCK = [f"layer.{n}.w.weight" for n in range(2)]
CASES: dict[str, Case] = {
    "llama": Case(
        LLAMA,
        {"num_hidden_layers": 12},
        [("model.layers.", 12)],
        ["model.embed_tokens.weight"],
        ["model.norm.weight", "lm_head.weight"],
    ),
    "llama without a config": Case(LLAMA, {}, [("model.layers.", 12)], [], []),
    "llama of one layer": Case(
        list(mistral_shapes(1, 8, 16, 32, 4)),
        {"num_hidden_layers": 1},
        [("model.layers.", 1)],
        ["model.embed_tokens.weight"],
        ["model.norm.weight"],
    ),
    "llama in Meta's names": Case(
        [*numbered("layers.", 4), "tok_embeddings.weight", "norm.weight", "output.weight"],
        {"n_layers": 4},
        [("layers.", 4)],
        ["tok_embeddings.weight"],
        ["norm.weight", "output.weight"],
    ),
    "experts": Case(EXPERTS, {"num_hidden_layers": 8}, [("model.layers.", 8)], [], []),
    "experts without a config": Case(EXPERTS, {}, [("model.layers.", 8)], [], []),
    "one layer of experts": Case(
        [name for name in EXPERTS if ".layers.0." in name],
        {"num_hidden_layers": 1, "num_local_experts": 8},
        [("model.layers.", 1)],
        [],
        [],
    ),
    "gpt2": Case(
        [*numbered("h.", 3), "wte.weight", "wpe.weight", "ln_f.weight"],
        {"n_layer": 3},
        [("h.", 3)],
        ["wte.weight", "wpe.weight"],
        ["ln_f.weight"],
    ),
    "gpt2 with a head": Case(
        [*numbered("transformer.h.", 3), "transformer.wte.weight", "lm_head.weight"],
        {"n_layer": 3},
        [("transformer.h.", 3)],
        ["transformer.wte.weight"],
        ["lm_head.weight", "transformer.ln_f.bias"],
    ),
    "gpt-neox": Case(
        numbered("gpt_neox.layers.", 3),
        {"num_hidden_layers": 3},
        [("gpt_neox.layers.", 3)],
        ["gpt_neox.embed_in.weight"],
        ["embed_out.weight", "gpt_neox.final_layer_norm.weight"],
    ),
    "bert": Case(
        numbered("bert.encoder.layer.", 6, "output.dense.weight", "attention.self.query.weight"),
        {"num_hidden_layers": 6},
        [("bert.encoder.layer.", 6)],
        ["bert.embeddings.LayerNorm.weight", "bert.embeddings.position_ids"],
        ["bert.pooler.dense.weight", "cls.predictions.transform.dense.weight"],
    ),
    "sentence-transformers": Case(
        [*numbered("0.auto_model.encoder.layer.", 6), "2.linear.weight"],
        {"num_hidden_layers": 6},
        [("0.auto_model.encoder.layer.", 6)],
        ["0.auto_model.embeddings.word_embeddings.weight"],
        ["2.linear.weight", "0.auto_model.pooler.dense.bias"],
    ),
    "sentence-transformers without a config": Case(
        [*numbered("0.auto_model.encoder.layer.", 6), "1.linear.weight"],
        {},
        [("0.auto_model.encoder.layer.", 6)],
        [],
        [],
    ),
    "t5": Case(
        numbered("encoder.block.", 4, *T5_BLOCK) + numbered("decoder.block.", 4, *T5_BLOCK),
        {"num_layers": 4, "num_decoder_layers": 4},
        [("decoder.block.", 4), ("encoder.block.", 4)],
        ["shared.weight", "encoder.embed_tokens.weight"],
        ["encoder.final_layer_norm.weight", "lm_head.weight"],
    ),
    "t5 as deep as its blocks": Case(
        numbered("encoder.block.", 2, *T5_BLOCK) + numbered("decoder.block.", 2, *T5_BLOCK),
        {"num_layers": 2},
        [("decoder.block.", 2), ("encoder.block.", 2)],
        [],
        [],
    ),
    "whisper, shallow decoder": Case(
        numbered("model.encoder.layers.", 4) + numbered("model.decoder.layers.", 2),
        {"encoder_layers": 4, "num_hidden_layers": 4, "decoder_layers": 2},
        [("model.decoder.layers.", 2), ("model.encoder.layers.", 4)],
        ["model.encoder.conv1.weight", "model.encoder.embed_positions.weight"],
        ["model.encoder.layer_norm.weight", "proj_out.weight"],
    ),
    "llava": Case(
        numbered("language_model.model.layers.", 8)
        + numbered("vision_tower.vision_model.encoder.layers.", 6),
        {"text_config": {"num_hidden_layers": 8}, "vision_config": {"num_hidden_layers": 6}},
        [("language_model.model.layers.", 8)],
        [
            "vision_tower.vision_model.encoder.layers.5.w.weight",
            "vision_tower.vision_model.post_layernorm.weight",
            "multi_modal_projector.linear_1.weight",
            "language_model.model.embed_tokens.weight",
        ],
        ["language_model.lm_head.weight", "language_model.model.norm.weight"],
    ),
    "vision and language of one depth": Case(
        numbered("visual.blocks.", 8) + numbered("model.layers.", 8),
        {"num_hidden_layers": 8, "vision_config": {"depth": 8}},
        [("model.layers.", 8)],
        ["visual.blocks.0.w.weight", "visual.patch_embed.proj.weight"],
        ["model.norm.weight"],
    ),
    "vision tower deeper, no config": Case(
        numbered("visual.blocks.", 32) + numbered("model.layers.", 8),
        {},
        [("model.layers.", 8)],
        ["visual.merger.mlp.0.weight"],
        [],
    ),
    "nested sections": Case(
        numbered("thinker.model.layers.", 8) + numbered("thinker.audio_tower.layers.", 4),
        {
            "thinker_config": {
                "text_config": {"num_hidden_layers": 8},
                "audio_config": {"encoder_layers": 4},
            }
        },
        [("thinker.model.layers.", 8)],
        ["thinker.audio_tower.layers.3.w.weight"],
        [],
    ),
    "vit": Case(
        numbered("vit.encoder.layer.", 4),
        {"num_hidden_layers": 4},
        [("vit.encoder.layer.", 4)],
        ["vit.embeddings.cls_token", "vit.embeddings.patch_embeddings.projection.weight"],
        ["vit.layernorm.weight", "classifier.weight"],
    ),
    "an extra prediction layer": Case(
        numbered("model.layers.", 5),
        {"num_hidden_layers": 4, "num_nextn_predict_layers": 1},
        [("model.layers.", 4)],
        [],
        ["model.layers.4.w.weight"],
    ),
    "unknown, wrapped": Case(
        numbered("net.towers.0.stages.", 5) + numbered("net.towers.0.stages.1.mix.", 9),
        {"num_hidden_layers": 5},
        [("net.towers.0.stages.", 5)],
        [],
        ["net.out.weight"],
    ),
    "sequence of modules": Case(
        ["0.weight", "1.weight", "2.weight"], {}, [("", 3)], [], ["head.weight"]
    ),
    "sequence with gaps": Case(["0.weight", "2.weight", "4.weight"], {}, [], [], ["0.weight"]),
    "no layers": Case(["weight", "bias"], {"num_hidden_layers": 12}, [], [], ["weight"]),
    "empty": Case([], {}, [], [], []),
    "layers missing": Case(numbered("model.layers.", 9)[2:], {}, [], [], []),
    "count that is no number": Case(
        LLAMA,
        {"num_hidden_layers": "12", "n_layer": True, "num_layers": [12]},
        [("model.layers.", 12)],
        [],
        [],
    ),
}


@pytest.mark.parametrize("title", CASES)
def test_structure(title: str) -> None:
    case = CASES[title]
    layers = Layers.of(case.names, case.config)
    assert [(stack.prefix, stack.count) for stack in layers.stacks] == case.stacks
    assert layers.count == max((count for _, count in case.stacks), default=0)
    for name in case.leading:
        assert layers.locate(name) is None
        assert layers.is_leading(name), name
    for name in case.trailing:
        assert layers.locate(name) is None
        assert not layers.is_leading(name), name
    for stack, (prefix, count) in enumerate(case.stacks):
        inside = [name for name in case.names if name.startswith(prefix)]
        found = [place for name in inside if (place := layers.locate(name))]
        assert {place.layer for place in found} == set(range(count))
        assert {place.stack for place in found} == {stack}


def test_locate_and_rename_agree() -> None:
    layers = Layers.of(EXPERTS, {"num_hidden_layers": 8})
    name = "model.layers.3.mlp.experts.7.up_proj.weight"
    assert layers.locate(name) == (0, 3, "mlp.experts.7.up_proj.weight")
    assert layers.rename(name, 40) == "model.layers.40.mlp.experts.7.up_proj.weight"
    with pytest.raises(ValueError, match="belongs to no layer"):
        layers.rename("model.norm.weight", 3)


@pytest.mark.parametrize("number", ["07", "12", "-1", "x", "", "٣"])
def test_only_plain_numbers_below_the_count_are_layers(number: str) -> None:
    layers = Layers.of(LLAMA, {"num_hidden_layers": 12})
    assert layers.locate(f"model.layers.{number}.w.weight") is None


def test_surplus_layers_are_known() -> None:
    case = CASES["an extra prediction layer"]
    layers = Layers.of(case.names, case.config)
    assert layers.is_surplus("model.layers.4.w.weight")
    assert not layers.is_surplus("model.layers.3.w.weight")
    assert not layers.is_surplus("model.norm.weight")
    assert not layers.is_surplus("model.layers.norm.weight")


def test_uniform() -> None:
    whisper = CASES["whisper, shallow decoder"]
    assert not Layers.of(whisper.names, whisper.config).uniform
    assert Layers.of(LLAMA, {}).uniform
    assert Layers.of([], {}).uniform


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lm_head.weight", True),
        ("language_model.lm_head.weight", True),
        ("output.weight", True),
        ("embed_out.weight", True),
        ("lm_head.bias", False),
        ("model.embed_tokens.weight", False),
        ("encoder.layer.0.output.dense.weight", False),
        ("my_lm_head.weight", False),
    ],
)
def test_is_head(name: str, expected: bool) -> None:
    assert is_head(name) is expected
