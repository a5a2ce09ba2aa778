"""How mergekit's YAML is to be read, where its reader may say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class YamlOptions:
    """lax: keys and parameters that nobody knows are warnings.

    round_like_mergekit: inputs are rounded to `dtype`, and results to `dtype` and then to
    `out_dtype`, as mergekit computes. Otherwise inputs are rounded only where `out_dtype` differs
    from `dtype`, and results once.
    """

    lax: bool = False
    round_like_mergekit: bool = False


AS_WRITTEN = YamlOptions()
