"""A model and its base -> a PEFT adapter: the difference of each matrix as two thin factors.

One matrix is in memory at a time, its factors until the end. What is no matrix and has changed,
such as a norm or a bias, is stored whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...grammar.diagnostics import CheckpointError, RunError
from ..checkpoint import Checkpoint
from ..source_tensors import SourceTensor
from ..stores import OpenFile, StoredFile
from ..tied_head import TOKEN_EMBEDDINGS
from ..values import read_floats
from .peft_config import CONFIG

if TYPE_CHECKING:
    import torch

_PREFIX = "base_model.model."
_TRANSPOSED = ("gpt2",)  # model types whose linear layers hold their weights the other way round
_RANDOMISED = 8  # from so many times the rank on, a randomised decomposition is cheaper
_OVERSAMPLED, _ITERATIONS = 16, 6  # of it; its result is then that of the exact one, nearly
_SEED = 0


@dataclass(frozen=True)
class Extracted:
    """A module's part: its rank, and the share of its change's energy (sum of squares) kept."""

    module: str
    rank: int
    energy: float


@dataclass
class _Adapter:
    """What is written."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    whole: list[str] = field(default_factory=list)
    biases: bool = False


def extract_adapter(
    base: Checkpoint,
    model: Checkpoint,
    rank: float,
    out: Path,
    watch: Callable[[Extracted], None] = lambda found: None,
) -> list[Extracted]:
    """Write the adapter of `model` against `base` into the folder `out`.

    rank: from 1 on the most columns of each factor; below 1 the share of the energy that is to be
    kept, in each module with as few columns as that takes. watch: called with each module.
    Errors: CheckpointError E0318 (the models don't fit), E0331 (they don't differ); RunError E0603
    (`out` can't be written), E0605 (a source can't be read).
    """
    _check_alike(base, model)
    turned = base.config.get("model_type") in _TRANSPOSED
    made = _Adapter()
    found: list[Extracted] = []
    opened: dict[StoredFile, OpenFile] = {}
    try:
        for name, change, value in _changes(base, model, opened):
            module, _, kind = name.rpartition(".")
            if kind == "weight" and change.dim() == 2 and not name.endswith("norm.weight"):
                part = _factored(made, module, change, rank, turned)
                found.append(part)
                watch(part)
            elif kind == "bias":
                made.biases = True
            else:
                made.whole.append(module)
                made.tensors[f"{_PREFIX}{name}"] = value
        if made.biases:
            for name, tensor in model.tensors.items():
                if name.endswith(".bias"):
                    made.tensors[f"{_PREFIX}{name}"] = _values(tensor, opened)
    finally:
        for file in opened.values():
            file.close()
    if not made.tensors:
        raise CheckpointError.of(
            "E0331", f"`{model.reference}` and `{base.reference}` have the same weights"
        )
    _write(made, base.reference, turned, out)
    return found


def _check_alike(base: Checkpoint, model: Checkpoint) -> None:
    wrong = [
        name
        for name in {**base.tensors, **model.tensors}
        if name not in base.tensors
        or name not in model.tensors
        or base.tensors[name].shape != model.tensors[name].shape
    ]
    if wrong:
        raise CheckpointError.of(
            "E0318",
            f"{len(wrong)} tensors of `{model.reference}` and `{base.reference}` don't fit",
            notes=tuple(wrong[:6]),
            hint="an adapter is the difference of two models of the same names and shapes",
        )


def _changes(
    base: Checkpoint, model: Checkpoint, opened: dict[StoredFile, OpenFile]
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """(name, change, the model's own values) of each tensor of floats that has changed."""
    for name, tensor in model.tensors.items():
        if not tensor.dtype.is_float or not base.tensors[name].dtype.is_float:
            continue
        value = _values(tensor, opened)
        change = value - _values(base.tensors[name], opened)
        if bool(change.any()):
            yield name, change, value


def _values(tensor: SourceTensor, opened: dict[StoredFile, OpenFile]) -> torch.Tensor:
    """All of a tensor in float32."""
    import torch

    def open_once(file: StoredFile) -> OpenFile:
        if file not in opened:
            opened[file] = file.open()
        return opened[file]

    values = read_floats(tensor, tensor.reader(open_once), 0, prod(tensor.shape))
    return torch.from_numpy(values).reshape(tensor.shape)


def _factored(
    made: _Adapter, module: str, change: torch.Tensor, rank: float, turned: bool
) -> Extracted:
    """Add a matrix's factors."""
    embedding = f"{module}.weight".endswith(TOKEN_EMBEDDINGS)
    if embedding or turned:
        change = change.T
    left, values, right = _decomposed(change, rank)
    energy = float((values.double() ** 2).sum() / (change.double() ** 2).sum())
    root = values.sqrt()
    b, a = (left * root).contiguous(), (root[:, None] * right).contiguous()
    kind = "lora_embedding_" if embedding else "lora_"
    suffix = "" if embedding else ".weight"
    made.tensors[f"{_PREFIX}{module}.{kind}A{suffix}"] = a
    made.tensors[f"{_PREFIX}{module}.{kind}B{suffix}"] = b
    made.ranks[module] = len(values)
    return Extracted(module, len(values), min(1.0, energy))


def _decomposed(
    change: torch.Tensor, rank: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """U, S and V's transpose, as many as the rank or the energy asks for."""
    import torch

    most = min(change.shape)
    if rank >= 1 and _RANDOMISED * (rank + _OVERSAMPLED) < most:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            q = int(rank) + _OVERSAMPLED
            u, s, v = torch.svd_lowrank(change, q=q, niter=_ITERATIONS)
        count, vt = int(rank), v.T
    else:
        u, s, vt = torch.linalg.svd(change, full_matrices=False)
        count = min(most, int(rank)) if rank >= 1 else _enough(s, rank)
    return u[:, :count], s[:count], vt[:count]


def _enough(values: torch.Tensor, share: float) -> int:
    """How many singular values hold a share of the sum of their squares."""
    squares = (values.double() ** 2).cumsum(0)
    return int((squares < share * squares[-1]).sum()) + 1


def _write(made: _Adapter, base: str, turned: bool, out: Path) -> None:
    from safetensors.torch import save_file

    rank = max(made.ranks.values(), default=1)
    others = {module: r for module, r in made.ranks.items() if r != rank}
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "all" if made.biases else "none",
        "fan_in_fan_out": turned,
        "use_rslora": False,
        "use_dora": False,
        "target_modules": sorted(made.ranks),
        "modules_to_save": sorted(made.whole) or None,
        "rank_pattern": others,
        "alpha_pattern": others,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        save_file(made.tensors, out / "adapter_model.safetensors", {"format": "pt"})
        (out / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError.of("E0603", f"can't write {out}: {error.strerror}") from None


def read_rank(text: str) -> float:
    """A rank such as `16`, or a share of the energy such as `0.95`. Raises ValueError."""
    rank = float(text)
    if not (0 < rank < 1 or (rank >= 1 and rank.is_integer() and rank < 2**31)):
        raise ValueError(text)
    return rank
