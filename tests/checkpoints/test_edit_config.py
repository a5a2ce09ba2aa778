"""The output's config.json, made from the base's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mergec.checkpoints.config_edits import config_text, edit_config
from mergec.ops.dtypes import DType, bfloat16, float32

MISTRAL: dict[str, Any] = {
    "_name_or_path": "me/m",
    "architectures": ["MistralForCausalLM"],
    "num_hidden_layers": 4,
    "vocab_size": 32,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "quantization_config": {"bits": 4},
    "auto_map": {"AutoModel": "code.Model"},
}
HYBRID: dict[str, Any] = {
    "architectures": ["A", "B", "C"],
    "eos_token_id": [1, 2, 3],
    "num_hidden_layers": 3,
    "max_window_layers": 3,
    "layer_types": ["full", "sliding", "full"],
    "mlp_only_layers": [0, 2],
    "rope_scaling": {"short_factor": [1.0, 2.0, 3.0]},
}


def test_drops_what_is_no_longer_true_and_keeps_its_input() -> None:
    before = json.dumps(MISTRAL)
    assert edit_config(MISTRAL) == {
        "architectures": ["MistralForCausalLM"],
        "num_hidden_layers": 4,
        "vocab_size": 32,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
    }
    assert json.dumps(MISTRAL) == before


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        ({}, bfloat16, {"dtype": "bfloat16"}),
        ({"dtype": "float16"}, float32, {"dtype": "float32"}),
        ({"torch_dtype": "float16"}, float32, {"torch_dtype": "float32"}),
        (
            {"torch_dtype": "x", "dtype": "y"},
            float32,
            {"torch_dtype": "float32", "dtype": "float32"},
        ),
        (
            {"text_config": {"torch_dtype": "float16"}, "vision_config": {"dtype": "float16"}},
            bfloat16,
            {
                "text_config": {"torch_dtype": "bfloat16"},
                "vision_config": {"dtype": "bfloat16"},
                "dtype": "bfloat16",
            },
        ),
        ({"torch_dtype": "float16"}, None, {"torch_dtype": "float16"}),
    ],
)
def test_dtype(given: dict[str, Any], dtype: DType | None, expected: dict[str, Any]) -> None:
    assert edit_config(given, dtype=dtype) == expected


@pytest.mark.parametrize(
    ("given", "has_head", "expected"),
    [
        ({"tie_word_embeddings": False}, False, {"tie_word_embeddings": True}),
        ({"tie_word_embeddings": True}, True, {"tie_word_embeddings": False}),
        ({"tie_word_embeddings": True}, None, {"tie_word_embeddings": True}),
        ({}, False, {}),
        ({}, True, {"tie_word_embeddings": False}),
        (
            {"text_config": {"n_layer": 1, "tie_word_embeddings": True}},
            True,
            {"text_config": {"n_layer": 1, "tie_word_embeddings": False}},
        ),
    ],
)
def test_tie(given: dict[str, Any], has_head: bool | None, expected: dict[str, Any]) -> None:
    assert edit_config(given, has_head=has_head) == expected


def test_vocabulary_of_the_text_section_only() -> None:
    given = {
        "text_config": {"num_hidden_layers": 2, "vocab_size": 5},
        "vision_config": {"num_hidden_layers": 2, "vocab_size": 7},
    }
    result = edit_config(given, vocab_size=64)
    assert result["text_config"]["vocab_size"] == 64
    assert result["vision_config"] == given["vision_config"]
    assert "vocab_size" not in result


def test_layer_count_and_lists_follow_the_slices() -> None:
    other = HYBRID | {"layer_types": ["a", "b", "c"], "mlp_only_layers": []}
    result = edit_config(
        HYBRID, layers=[(HYBRID, 0), (HYBRID, 1), (other, 1), (other, 2), (HYBRID, 2)]
    )
    assert result == HYBRID | {
        "num_hidden_layers": 5,
        "max_window_layers": 5,
        "layer_types": ["full", "sliding", "b", "c", "full"],
        "mlp_only_layers": [0, 4],
    }


def test_a_source_without_the_list_takes_the_bases_nearest_entry() -> None:
    plain = {"num_hidden_layers": 8}
    result = edit_config(HYBRID, layers=[(plain, 1), (plain, 7)])
    assert result["layer_types"] == ["sliding", "full"]


def test_vision_layers_stay() -> None:
    given = {
        "text_config": {"num_hidden_layers": 2, "layer_types": ["a", "b"]},
        "vision_config": {"num_hidden_layers": 2, "layer_types": ["v", "w"]},
    }
    result = edit_config(given, layers=[(given, 1)])
    assert result["text_config"] == {"num_hidden_layers": 1, "layer_types": ["b"]}
    assert result["vision_config"] == given["vision_config"]


def test_encoder_and_decoder_counts() -> None:
    given = {"num_layers": 2, "num_decoder_layers": 2, "n_head": 2}
    result = edit_config(given, layers=[(given, 0)])
    assert result == {"num_layers": 1, "num_decoder_layers": 1, "n_head": 2}


def test_config_without_layers_is_left_alone() -> None:
    assert edit_config({"a": [1]}, layers=[({}, 0)]) == {"a": [1]}


def test_text() -> None:
    assert config_text({"b": "é", "a": 1}) == '{\n  "b": "é",\n  "a": 1\n}\n'
