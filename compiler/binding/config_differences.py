"""Outputs -> warnings where the configs of an output's inputs say different things of its weights.

An output has one config.json; what another input's config says of rotary embeddings, norms, heads
or the vocabulary is lost, and a model that loads without an error then computes something else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...checkpoints.layers import main_sections
from ...grammar.diagnostics import Diagnostics
from .bound import Output, Source
from .model_structure import config_source, sources_of

_MATTERS = (
    *("rope_theta", "rope_scaling", "rope_type", "partial_rotary_factor", "rotary_emb_base"),
    *("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"),
    *("num_attention_heads", "num_key_value_heads", "n_head", "head_dim", "vocab_size"),
    *("sliding_window", "hidden_act", "logit_scale", "attention_multiplier"),
)
_NESTED = ("rope_parameters",)  # where newer configs keep what older ones have at the top


def warn_of_differences(outputs: Sequence[Output], problems: Diagnostics) -> None:
    """Reports W0301 for each output whose inputs' configs differ in what matters to weights."""
    for output in outputs:
        taken = config_source(output)
        sources = dict.fromkeys((taken, *sources_of(output.value)))
        notes = tuple(_differences(list(sources)))
        if notes:
            problems.report(
                "W0301",
                "the configs of the inputs differ in what matters to their weights",
                output.span,
                hint='`config = "…"` of the `save` takes another',
                notes=(*notes, f"config.json is that of {taken.reference}"),
            )


def _differences(sources: Sequence[Source]) -> Iterator[str]:
    facts = {source: _facts(source.checkpoint.config) for source in sources}
    for key in _MATTERS:
        said: dict[str, list[str]] = {}
        for source, known in facts.items():
            if key in known:
                said.setdefault(known[key], []).append(source.reference)
        if len(said) > 1:
            values = (f"{value} ({_some(names)})" for value, names in said.items())
            yield f"{key}: {', '.join(values)}"


def _facts(config: dict[str, Any]) -> Mapping[str, str]:
    """The values that matter, as text that compares: null is as good as nothing."""
    found: dict[str, str] = {}
    for section in reversed(main_sections(config)):
        nested = [section[key] for key in _NESTED if isinstance(section.get(key), dict)]
        for part in (*nested, section):
            for key in _MATTERS:
                if part.get(key) is not None:
                    found[key] = json.dumps(part[key], sort_keys=True)
    return found


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:2])
    return f"{shown} and {len(names) - 2} more" if len(names) > 2 else shown
