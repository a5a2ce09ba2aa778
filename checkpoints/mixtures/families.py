"""A dense model's config and names -> those of a mixture of experts made of such models.

mixtral     llama, mistral          block_sparse_moe.experts.E.w1.weight
qwen2_moe   llama, mistral, qwen2   mlp.experts.E.gate_proj.weight, one shared expert, gated
qwen3_moe   qwen3                   mlp.experts.E.gate_proj.weight
deepseek    llama, mistral          mlp.experts.E.gate_proj.weight, at most one shared expert
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

_DENSE = ("gate_proj", "up_proj", "down_proj")
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "llama": {"rope_theta": 10000.0, "rms_norm_eps": 1e-6, "max_position_embeddings": 2048},
    "mistral": {"rope_theta": 10000.0, "rms_norm_eps": 1e-6, "max_position_embeddings": 131072},
    "qwen2": {"rope_theta": 10000.0, "rms_norm_eps": 1e-6, "max_position_embeddings": 32768},
    "qwen3": {"rope_theta": 10000.0, "rms_norm_eps": 1e-6, "max_position_embeddings": 32768},
}
"""What a dense config that doesn't say it means, where a mixture's would mean something else."""

Part: TypeAlias = Literal["expert", "shared", "gate", "shared gate", "zero bias"]


class ExpertPart(NamedTuple):
    """What a mixture's tensor is made of: an expert's tensor of the dense name `suffix`."""

    part: Part
    expert: int
    suffix: str


@dataclass(frozen=True)
class Family:
    """One architecture of mixtures. dense: model types that it is made of.

    block: what stands for a layer's `mlp.`. renamed: the experts' own names, as `_DENSE`.
    shared: where the shared expert is, if there can be one; shared_gate: its gate.
    """

    name: str
    architecture: str
    dense: tuple[str, ...]
    block: str
    renamed: tuple[str, str, str]
    shared: str | None = None
    shared_gate: str | None = None
    needs_shared: bool = False
    wants_bias: bool = False

    def suffixes(self, dense: str, experts: int, shared: bool) -> list[str]:
        """What a dense layer's tensor becomes: itself, or one of each expert."""
        found = next((i for i, part in enumerate(_DENSE) if dense == f"mlp.{part}.weight"), None)
        if found is None:
            return [dense]
        names = [f"{self.block}experts.{e}.{self.renamed[found]}.weight" for e in range(experts)]
        return names + ([f"{self.block}{self.shared}.{_DENSE[found]}.weight"] if shared else [])

    def gates(self, shared: bool) -> list[str]:
        """The suffixes of a layer's gates."""
        found = [f"{self.block}gate.weight"]
        return found + (
            [f"{self.block}{self.shared_gate}.weight"] if shared and self.shared_gate else []
        )

    def origin(self, suffix: str) -> ExpertPart | None:
        """What a layer's tensor is made of; None for one that is the base's."""
        if not suffix.startswith(self.block):
            return None
        parts = suffix.removeprefix(self.block).split(".")
        match parts:
            case ["experts", number, name, "weight"] if name in self.renamed:
                dense = _DENSE[self.renamed.index(name)]
                return ExpertPart("expert", int(number), f"mlp.{dense}.weight")
            case ["gate", "weight"]:
                return ExpertPart("gate", 0, "")
            case [name, "weight"] if name == self.shared_gate:
                return ExpertPart("shared gate", 0, "")
            case [name, dense, "weight"] if name == self.shared:
                return ExpertPart("shared", 0, f"mlp.{dense}.weight")
        return None


FAMILIES = (
    Family(
        "mixtral",
        "MixtralForCausalLM",
        ("llama", "mistral"),
        "block_sparse_moe.",
        ("w1", "w3", "w2"),
    ),
    Family(
        "deepseek",
        "DeepseekForCausalLM",
        ("llama", "mistral"),
        "mlp.",
        _DENSE,
        "shared_experts",
    ),
    Family(
        "qwen2_moe",
        "Qwen2MoeForCausalLM",
        ("qwen2", "llama", "mistral"),
        "mlp.",
        _DENSE,
        "shared_expert",
        "shared_expert_gate",
        needs_shared=True,
        wants_bias=True,
    ),
    Family("qwen3_moe", "Qwen3MoeForCausalLM", ("qwen3",), "mlp.", _DENSE),
)


def find_family(
    model_types: Sequence[str], shared: int, asked: str | None, *, gated: bool = False
) -> Family | str:
    """The first family that fits, or why none does.

    model_types: of the base and every expert. shared: how many experts are; gated: whether one has
    prompts for a gate. asked: the family's name.
    """
    if len(set(model_types)) > 1:
        return f"the models are of different types: {', '.join(dict.fromkeys(model_types))}"
    if shared > 1:
        return "there can be one shared expert"
    named = [family for family in FAMILIES if asked in (None, family.name)]
    if not named:
        return f"there is no architecture `{asked}`"
    fitting = [family for family in named if model_types[0] in family.dense]
    if not fitting:
        known = ", ".join(dict.fromkeys(kind for family in named for kind in family.dense))
        return f"experts can be of the types {known}, these are {model_types[0]}"
    for family in fitting:
        if gated and not family.shared_gate:
            continue
        if (family.needs_shared and shared) or (
            not family.needs_shared and (not shared or family.shared)
        ):
            return family
    needs = "needs a shared expert" if fitting[0].needs_shared else "has no shared expert"
    return f"{fitting[0].name} {needs}"


def mixture_config(
    config: Mapping[str, Any], family: Family, experts: int, top_k: int, shared: bool
) -> dict[str, Any]:
    """The config of a mixture whose base has this one."""
    result = copy.deepcopy(dict(config))
    for key, value in _DEFAULTS.get(str(config.get("model_type")), {}).items():
        if key != "rope_theta" or "rope_parameters" not in result:
            result.setdefault(key, value)
    result.setdefault("num_key_value_heads", result.get("num_attention_heads"))
    width = result["intermediate_size"]
    result |= {"model_type": family.name, "architectures": [family.architecture]}
    result["sliding_window"] = None
    match family.name:
        case "mixtral":
            result |= {"num_local_experts": experts, "num_experts_per_tok": top_k}
        case "deepseek":
            result |= _deepseek(experts, top_k, shared, width)
        case _:
            result |= {
                "num_experts": experts,
                "num_experts_per_tok": top_k,
                "decoder_sparse_step": 1,
                "norm_topk_prob": True,
                "moe_intermediate_size": width,
                "mlp_only_layers": [],
                "use_sliding_window": False,
            }
            if shared:
                result["shared_expert_intermediate_size"] = width
    return result


def _deepseek(experts: int, top_k: int, shared: bool, width: int) -> dict[str, Any]:
    """Its classes come with the model that it was first published with."""
    home = "deepseek-ai/deepseek-moe-16b-base--"
    return {
        "n_routed_experts": experts,
        "n_shared_experts": 1 if shared else None,
        "num_experts_per_tok": top_k,
        "first_k_dense_replace": 0,
        "moe_layer_freq": 1,
        "scoring_func": "softmax",
        "norm_topk_prob": True,
        "moe_intermediate_size": width,
        "auto_map": {
            "AutoConfig": f"{home}configuration_deepseek.DeepseekConfig",
            "AutoModel": f"{home}modeling_deepseek.DeepseekModel",
            "AutoModelForCausalLM": f"{home}modeling_deepseek.DeepseekForCausalLM",
        },
    }
