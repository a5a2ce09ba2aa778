"""Tensor names + config.json -> which tensors belong to which layer. No list of architectures.

A stack is a prefix that is followed by layer numbers, such as `model.layers.`. Names hold other
numbers too (experts, sub-layers, wrapper modules, vision towers), so a stack is

    the outermost prefix whose numbers run 0, 1, …, n-1 with n a layer count that the config names;
    without one, the outermost prefixes with the most such numbers, at least two.

An encoder and a decoder are two stacks. A tower that feeds the language model (vision, audio) is
none, unless it is the whole model: it comes before the first layer, as embeddings do.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

COUNT_KEYS = (
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "encoder_layers",
    "decoder_layers",
    "num_encoder_layers",
    "num_decoder_layers",
    "encoder_num_hidden_layers",
    "decoder_num_hidden_layers",
    "num_transformer_layers",
    "num_blocks",
)
_SURPLUS_KEYS = ("num_nextn_predict_layers", "num_mtp_layers", "mtp_num_hidden_layers")

# Names of modules are words joined by dots and underscores: `patch_embed`, `vision_tower`.
_NUMBER = re.compile(r"(?:(?<=\.)|^)\d+(?=\.)")
_TOWER = re.compile(r"(^|[._])(vision|visual|vit|image|img|video|audio|speech)([._]|$)", re.I)
_HEAD = re.compile(
    r"(^|\.)(lm_head|embed_out|output|output_layer|output_projection|proj_out)(\.|$)"
)
_LEADING = re.compile(
    r"""embed | (^|[._]) ( wte | wpe | emb | shared | (cls|class|mask)_token
    | pos | positions? | position_ids | positional | patch(es|ify)? | project_in | conv\d?
    | feature_extractor | feature_projection | projector | connector | aligner
    | ln_pre | norm_pre | pre_lay\w*norm ) ([._]|$)""",
    re.X,
)


class LayerPlace(NamedTuple):
    """Where a tensor stands: `stacks[stack]`, the layer's number, the name after the number."""

    stack: int
    layer: int
    suffix: str


@dataclass(frozen=True, slots=True)
class LayerStack:
    """Layers 0 to count-1 of names `prefix` + number + `.` + suffix."""

    prefix: str
    count: int


@dataclass(frozen=True)
class Layers:
    """The layer structure of one model. `stacks` is empty for a model without layers."""

    stacks: tuple[LayerStack, ...]
    _numbers: tuple[tuple[str, int, dict[str, int]], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # By text, so that `07` and numbers past the count are no layers.
        numbers = tuple(
            (stack.prefix, len(stack.prefix), {str(n): n for n in range(stack.count)})
            for stack in self.stacks
        )
        object.__setattr__(self, "_numbers", numbers)

    @classmethod
    def of(cls, names: Iterable[str], config: dict[str, Any]) -> Layers:
        """The structure of the model with these tensor names; `config` may be empty."""
        runs = _runs(names)
        return cls(tuple(_by_config(runs, config) or _by_length(runs)))

    @property
    def count(self) -> int:
        """Layers of the deepest stack; 0 without layers."""
        return max((stack.count for stack in self.stacks), default=0)

    @property
    def uniform(self) -> bool:
        """Whether all stacks have `count` layers, as slicing needs."""
        return len({stack.count for stack in self.stacks}) <= 1

    def locate(self, name: str) -> LayerPlace | None:
        """The layer that a tensor belongs to, or None for one outside the layers."""
        for stack, (prefix, length, numbers) in enumerate(self._numbers):
            if name.startswith(prefix):
                number, dot, suffix = name[length:].partition(".")
                layer = numbers.get(number)
                if layer is not None and dot:
                    return LayerPlace(stack, layer, suffix)
        return None

    def rename(self, name: str, layer: int) -> str:
        """The name of the same tensor in another layer. Errors: ValueError outside the layers."""
        if (place := self.locate(name)) is None:
            raise ValueError(f"{name} belongs to no layer")
        return f"{self.stacks[place.stack].prefix}{layer}.{place.suffix}"

    def is_leading(self, name: str) -> bool:
        """Of a tensor outside the layers: whether it comes before them, as an embedding does.

        The rest (final norm, head, pooler) comes after them.
        """
        if _TOWER.search(name) and not any(_TOWER.search(s.prefix) for s in self.stacks):
            return True
        return _LEADING.search(name) is not None and not _HEAD.search(name)

    def is_surplus(self, name: str) -> bool:
        """Whether a name has a number past its stack's last layer, as an extra prediction head.

        Such a tensor is outside the layers, and can't stay where it is when the stack grows.
        """
        return self.locate(name) is None and any(
            name[length:].partition(".")[0].isdecimal()
            for prefix, length, _ in self._numbers
            if name.startswith(prefix)
        )


def is_head(name: str) -> bool:
    """Whether a tensor is a language model's output projection: a model that has one is untied."""
    module, _, parameter = name.rpartition(".")
    return parameter == "weight" and _HEAD.search(f".{module.rpartition('.')[2]}") is not None


def main_sections(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a config that describe the language model (or the only one), text first."""
    nested = [
        section
        for key, part in config.items()
        if isinstance(part, dict) and (key.endswith("_config") or key in ("encoder", "decoder"))
        if not _TOWER.search(key)
        for section in main_sections(part)
        if any(count in section for count in COUNT_KEYS)
    ]
    return [*nested, config]


def layer_counts(config: dict[str, Any]) -> list[int]:
    """The layer counts that a config names for its main model, its text section's first."""
    values = [section.get(key) for section in main_sections(config) for key in COUNT_KEYS]
    counts = [value for value in values if type(value) is int and value > 0]
    return list(dict.fromkeys(counts))


def _runs(names: Iterable[str]) -> dict[str, int]:
    """Each prefix whose numbers run 0, 1, …, n-1, with n; outermost first."""
    numbers: dict[str, set[str]] = defaultdict(set)
    for name in names:
        for match in _NUMBER.finditer(name):
            numbers[name[: match.start()]].add(match[0])
    runs = {
        prefix: len(found)
        for prefix, found in numbers.items()
        if all(str(n) in found for n in range(len(found)))
    }
    # A number that begins a name counts modules of a wrapper or a sequence: the last resort.
    return dict(sorted(runs.items(), key=lambda run: (run[0].count(".") or 1000, run[0])))


def _by_config(runs: Mapping[str, int], config: dict[str, Any]) -> list[LayerStack]:
    counts = layer_counts(config)
    sections = main_sections(config)
    surplus = [s[key] for s in sections for key in _SURPLUS_KEYS if type(s.get(key)) is int]
    stacks = []
    for prefix, length in runs.items():
        named = [count for count in counts if length in (count, *(count + n for n in surplus))]
        if named:
            stacks.append(LayerStack(prefix, named[0]))
    return _main(stacks)


def _by_length(runs: Mapping[str, int]) -> list[LayerStack]:
    stacks = _main([LayerStack(prefix, length) for prefix, length in runs.items() if length > 1])
    longest = max((stack.count for stack in stacks), default=0)
    return [stack for stack in stacks if stack.count == longest]


def _main(stacks: list[LayerStack]) -> list[LayerStack]:
    """Without stacks inside others' layers, and without towers beside a main model."""
    outermost: list[LayerStack] = []
    for stack in stacks:
        inside = any(stack.prefix.startswith(outer.prefix) for outer in outermost)
        if not inside and (stack.prefix or not outermost):
            outermost.append(stack)
    return [stack for stack in outermost if not _TOWER.search(stack.prefix)] or outermost
