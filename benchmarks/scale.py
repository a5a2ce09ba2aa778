"""Time and memory of planning three mixture-of-experts checkpoints of 91,000 tensors each.

    python benchmarks/scale.py [--experts 505] [--layers 60]

The checkpoints are headers over holes. Wanted: under 6 s and 400 MB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from compare import DATA, MERGEC
from measuring import measure

HIDDEN, INTERMEDIATE, VOCAB = 2048, 1408, 32000
MODELS = ("base", "tune-1", "tune-2")
YAML = {
    "linear": "merge_method: linear\n",
    "slerp": "merge_method: slerp\nparameters: {t: [0, 0.5, 1]}\n",
    "ties": "merge_method: ties\nparameters: {density: 0.5}\n",
}


def main() -> None:
    """Print a row for each method: seconds and peak memory of `mergec plan` as a whole process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experts", type=int, default=505)
    parser.add_argument("--layers", type=int, default=60)
    options = parser.parse_args()
    folder = DATA / "experts"
    tensors = [_write(folder / name, options.layers, options.experts) for name in MODELS]
    print(f"{sum(tensors):,} tensors in {len(tensors)} checkpoints")
    for method in YAML:
        recipe = folder / f"{method}.yaml"
        recipe.write_text(_recipe(method, folder))
        for command in (["check"], ["plan"]):
            found = measure(Path(sys.executable), MERGEC, [*command, str(recipe)])
            print(
                f"{method:8} {command[0]:6} {found.wall_seconds:6.2f} s wall "
                f"{found.cpu_seconds:6.2f} s CPU {found.peak_bytes / 1e6:6.0f} MB",
                flush=True,
            )
    shutil.rmtree(folder)


def _recipe(method: str, folder: Path) -> str:
    weights = "" if method == "slerp" else ", parameters: {weight: 0.5}"
    models = "".join(f"  - {{model: {folder / name}{weights}}}\n" for name in MODELS[1:])
    base = MODELS[1] if method == "slerp" else MODELS[0]
    base_line = "" if method == "linear" else f"base_model: {folder / base}\n"
    return f"models:\n{models}{YAML[method]}{base_line}dtype: bfloat16\n"


def _write(folder: Path, layers: int, experts: int) -> int:
    """A checkpoint's header and configuration, with a hole for its data; how many tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    header: dict[str, object] = {}
    offset = 0
    for name, shape in _shapes(layers, experts).items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {
            "dtype": "BF16",
            "shape": list(shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + offset)
    config = {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "num_hidden_layers": layers,
        "hidden_size": HIDDEN,
        "vocab_size": VOCAB,
        "num_local_experts": experts,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return len(header)


def _shapes(layers: int, experts: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCAB, HIDDEN)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        shapes |= {f"{prefix}self_attn.{n}_proj.weight": (HIDDEN, HIDDEN) for n in "qkvo"}
        shapes[f"{prefix}block_sparse_moe.gate.weight"] = (experts, HIDDEN)
        for expert in range(experts):
            own = f"{prefix}block_sparse_moe.experts.{expert}."
            shapes[own + "w1.weight"] = shapes[own + "w3.weight"] = (INTERMEDIATE, HIDDEN)
            shapes[own + "w2.weight"] = (HIDDEN, INTERMEDIATE)
        shapes[f"{prefix}input_layernorm.weight"] = (HIDDEN,)
        shapes[f"{prefix}post_attention_layernorm.weight"] = (HIDDEN,)
    return shapes | {"model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCAB, HIDDEN)}


if __name__ == "__main__":
    main()
