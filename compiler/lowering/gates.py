"""A mixture's gate of one layer -> the tensor that it is loaded from."""

from __future__ import annotations

from collections.abc import Sequence

from ...checkpoints.element_bits import encode
from ...checkpoints.made_tensor import MadeTensor
from ...checkpoints.mixtures.prompt_gates import PromptGates
from ...checkpoints.mixtures.random_gates import random_gate
from ...checkpoints.source_tensors import SourceTensor
from ...ops.dtypes import float32
from ..binding.bound import Expert, Mixture, Source
from ..binding.model_structure import first_source


class Gates:
    """Makes the gates of a recipe's mixtures; those from prompts of one mixture are one piece."""

    def __init__(self, seed: int):
        self._seed = seed
        self._prompted: dict[Mixture, PromptGates] = {}
        self._made: dict[tuple[Mixture, str], SourceTensor] = {}

    def tensor(
        self, mixture: Mixture, name: str, layer: int, shared: bool, rounds: bool
    ) -> SourceTensor | None:
        """The gate `name`: (experts, width), of the shared expert (1, width).

        rounds: whether it gets a dtype when it is written, else it has the base's. None where a
        file of gates lacks it.
        """
        if isinstance(mixture.gate, Source):
            return mixture.gate.checkpoint.tensors.get(name)
        if (mixture, name) not in self._made:
            self._made[mixture, name] = self._make(mixture, name, layer, shared, rounds)
        return self._made[mixture, name]

    def _make(
        self, mixture: Mixture, name: str, layer: int, shared: bool, rounds: bool
    ) -> SourceTensor:
        base = first_source(mixture.base).checkpoint
        width = int(base.config["hidden_size"])
        experts = _gated(mixture, shared)
        kept = float32 if rounds else next(iter(base.tensors.values())).dtype
        shape = (len(experts), width)
        gate = mixture.gate
        if gate == "random" or gate == "uniform":
            return MadeTensor(
                name,
                kept,
                shape,
                (gate, self._seed, name),
                lambda: encode(random_gate(gate, self._seed, name, *shape), kept),
            )
        assert not isinstance(gate, Source)
        prompted = self._prompted.get(mixture)
        if prompted is None:
            texts = [(e.prompts, e.negative) for e in (*mixture.experts, *_gated(mixture, True))]
            prompted = self._prompted[mixture] = PromptGates(base, gate, tuple(texts))
        first = len(mixture.experts) if shared else 0
        rows = range(first, first + len(experts))
        return MadeTensor(
            name,
            kept,
            shape,
            (*prompted.key, layer, rows.start, rows.stop),
            lambda: encode(prompted.layer(layer)[rows.start : rows.stop], kept),
        )


def _gated(mixture: Mixture, shared: bool) -> Sequence[Expert]:
    if not shared:
        return mixture.experts
    gated = mixture.shared is not None and mixture.family.shared_gate is not None
    return (mixture.shared,) if gated and mixture.shared is not None else ()
