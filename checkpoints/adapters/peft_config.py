"""adapter_config.json of PEFT -> each module's scale; what can't be merged is refused."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from ...grammar.diagnostics import CheckpointError
from ..json_files import read_json
from ..stores import Store

CONFIG = "adapter_config.json"
_REFUSED = {
    "use_dora": "DoRA, which scales every row by a norm of the merged weights",
    "layer_replication": "a replication of layers",
    "trainable_token_indices": "tokens that are trained one by one",
    "use_qalora": "QA-LoRA",
    "alora_invocation_tokens": "activated LoRA, which isn't part of the weights",
    "arrow_config": "Arrow routing between adapters",
    "megatron_config": "Megatron's parallel layers",
}


@dataclass(frozen=True)
class PeftConfig:
    """The settings that merged weights hang on."""

    alpha: float
    alpha_pattern: dict[str, float]
    by_root: bool
    fan_in_fan_out: bool

    def scale(self, module: str, rank: int) -> float:
        """What B · A is multiplied by: alpha over the rank, or over its root (rsLoRA)."""
        alpha = self.alpha
        for pattern, value in self.alpha_pattern.items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                alpha = value
                break
        return alpha / (math.sqrt(rank) if self.by_root else rank)


def read_peft_config(store: Store) -> PeftConfig:
    """The config of the adapter in a store.

    Errors: CheckpointError E0317 (no LoRA adapter), E0328 (a kind of it that can't be read).
    """
    config = read_json(store, CONFIG, "E0317")
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError.of(
            "E0328",
            f"the adapter {store.place} is of type {str(kind)[:40]}: only LoRA can be merged",
            hint="merge it with peft's `merge_and_unload`, and use the merged model",
        )
    for key, what in _REFUSED.items():
        if config.get(key):
            raise CheckpointError.of(
                "E0328",
                f"the adapter {store.place} uses {what} (`{key}`)",
                hint="merge it with peft's `merge_and_unload`, and use the merged model",
            )
    patterns = config.get("alpha_pattern") or {}
    try:
        return PeftConfig(
            alpha=_number(config, "lora_alpha", 8.0),
            alpha_pattern={str(k): float(v) for k, v in patterns.items()},
            by_root=bool(config.get("use_rslora")),
            fan_in_fan_out=bool(config.get("fan_in_fan_out")),
        )
    except (TypeError, ValueError, AttributeError, re.error) as error:
        message = f"{store.place}/{CONFIG} can't be understood: {error}"
        raise CheckpointError.of("E0317", message) from None


def _number(config: dict[str, Any], key: str, default: float) -> float:
    value = float(config.get(key, default))
    if not math.isfinite(value):
        raise ValueError(f"{key} is {value}")
    return value
