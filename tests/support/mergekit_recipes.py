"""mergekit's own 33 merge tests, restated as YAML: what it merges there, and what must come out.

Its tests merge random models of four architectures in bfloat16, two sources of weight 0.6 and 0.4,
whether the method uses weights or not. What is expected is computed in float32, so that numbers can
be compared: in 16 bits mergekit rounds on the way, and thresholds of random models fall anywhere.
"""

from __future__ import annotations

from typing import Any

import yaml

Config = dict[str, Any]


def _two(
    method: str, a: str, b: str, base: str | None = None, weights: Any = (0.6, 0.4), **shared: Any
) -> Config:
    config: Config = {"merge_method": method}
    if base is not None:
        config["base_model"] = base
    sources = zip((a, b), weights, strict=True)
    config["models"] = [{"model": m, "parameters": {"weight": w}} for m, w in sources]
    config["dtype"] = "bfloat16"
    if shared:
        config["parameters"] = shared
    return config


def _family(kind: str) -> dict[str, Config]:
    """The merges that mergekit tests on two architectures, language models and `vlm`s."""
    a, b, c = (f"{kind}-{letter}" for letter in "abc")
    found = {
        "linear": _two("linear", a, b),
        "slerp": _two("slerp", a, b, a, t=0.35),
        "task-arithmetic": _two("task_arithmetic", a, b, c),
        "breadcrumbs": _two("breadcrumbs", a, b, c),
        "ties": _two("ties", a, b, c, density=0.3),
        "dare-ties": _two("dare_ties", a, b, c, density=0.66),
        "model-stock": _two("model_stock", b, c, a),
        "model-stock-filterwise": _two("model_stock", b, c, a, filter_wise=True),
    }
    for base in (None, c):
        for rows in (False, True):
            for flat in (False, True):
                name = f"nuslerp-{base or 'no-base'}-{'rows' if rows else 'columns'}-{flat}"
                found[name.lower()] = _two(
                    "nuslerp", a, b, base, nuslerp_row_wise=rows, nuslerp_flatten=flat
                )
    settings = {"nuslerp_row_wise": False, "nuslerp_flatten": False}
    found["nuslerp-weights-that-cancel"] = _two("nuslerp", a, b, c, (-0.5, 0.5), **settings)
    return {f"{kind}-{name}": config for name, config in found.items()}


def _only(method: str, model: str, **more: Any) -> Config:
    return {"merge_method": method, "models": [{"model": model, **more}], "dtype": "bfloat16"}


_SCALE = {"scale": [{"filter": "o_proj", "value": 0}, {"value": 1}]}
_SLICE = {"sources": [{"model": "gpt2", "layer_range": [0, 3]}]}

MERGES: dict[str, Config] = {
    "granite-copy": _only("passthrough", "granite-a"),
    "granite-linear": _two("linear", "granite-a", "granite-b"),
    "granite-slerp": _two("slerp", "granite-a", "granite-b", "granite-a", t=0.5),
    "gpt2-copy": _only("passthrough", "gpt2"),
    "gpt2-stack": {
        "merge_method": "passthrough",
        "slices": [_SLICE, _SLICE],
        "dtype": "bfloat16",
    },
    "passthrough-scale": {
        key: value
        for key, value in _only("passthrough", "llama-a", parameters=_SCALE).items()
        if key != "dtype"
    },
    **_family("llama"),
    "sce": _two("sce", "llama-a", "llama-b", "llama-c", select_topk=0.5),
    "ram": _two("ram", "llama-a", "llama-b", "llama-c"),
    "ramplus-tl": _two("ramplus_tl", "llama-a", "llama-b", "llama-c", r=0.05, alpha=1.0),
    "multislerp": _two("multislerp", "llama-a", "llama-b", "llama-c"),
    "arcee-fusion": _two("arcee_fusion", "llama-a", "llama-b", "llama-a"),
    "nearswap": _two("nearswap", "llama-a", "llama-b", "llama-a", t=0.0001),
    "della": _two(
        "della", "llama-a", "llama-b", "llama-c", density=0.66, epsilon=0.05, **{"lambda": 0.5}
    ),
    "karcher": _two("karcher", "llama-a", "llama-b", "llama-c", max_iter=5, tol=1e-5),
    **_family("vlm"),
}

REFUSED: dict[str, Config] = {
    "della-invalid-epsilon": _two(
        "della", "llama-a", "llama-b", "llama-c", density=0.66, epsilon=1.35, **{"lambda": 0.5}
    )
}

RANDOM = frozenset(("llama-dare-ties", "vlm-dare-ties", "della"))
"""Merges with random masks: what comes out has the same form, not the same numbers."""


def as_yaml(config: Config, dtype: str = "float32") -> str:
    """A recipe's text with this dtype instead of bfloat16, where it names one."""
    named = {"dtype": dtype} if "dtype" in config else {}
    return str(yaml.safe_dump(config | named, sort_keys=False))
