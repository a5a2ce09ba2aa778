"""What mergekit 0.1.5 computes of a configuration is what mergec computes of it, up to rounding.

`configs`, `models` and `expected` of tests/data/conformance came with the project;
`micro` is made by make_expected.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from mergec.ops.method import method_names
from support.merging import merge, read_checkpoint

DATA = Path(__file__).parents[1] / "data" / "conformance"
TOLERANCE = 2e-6
"""Of a float32 tensor's largest magnitude: mergekit and mergec add up in different orders."""

STEPS = 4
"""Where mergekit computes in a 16-bit dtype it rounds inputs, differences, products, sums, stages:
up to seven halves of a step at an element's largest input, and less than one rounding step at the
tensor's largest magnitude. mergec rounds once."""


def _cases() -> list[Path]:
    return sorted(DATA.glob("configs/*.yaml")) + sorted(DATA.glob("micro/configs/*.yaml"))


def _documents(config: Path) -> list[dict[str, object]]:
    return list(yaml.safe_load_all(config.read_text(encoding="utf-8")))


@pytest.mark.parametrize("config", _cases(), ids=lambda config: config.stem)
def test_agrees_with_mergekit(config: Path, tmp_path: Path) -> None:
    documents = _documents(config)
    for document in documents:
        if document["merge_method"] not in method_names():
            pytest.skip(f"there is no method {document['merge_method']} yet")
    suite = config.parents[1]
    out = tmp_path / "out"
    merge(config, out, folder=suite)
    expected = read_checkpoint(suite / "expected" / f"{config.stem}.safetensors")
    found = read_checkpoint(out)
    assert found.keys() == expected.keys()
    inputs = _magnitudes(suite, config)
    problems = {
        name: _differs(found[name], expected[name], inputs.get(name), documents)
        for name in expected
    }
    listed = [f"{name}: {problem}" for name, problem in problems.items() if problem]
    assert not listed, "\n".join(listed)


def _magnitudes(suite: Path, config: Path) -> dict[str, torch.Tensor]:
    """For each tensor the largest magnitude that each element has in any of the models."""
    found: dict[str, torch.Tensor] = {}
    for model in sorted(set(re.findall(r"models/[\w-]+", config.read_text(encoding="utf-8")))):
        for name, value in read_checkpoint(suite / model).items():
            magnitude = value.double().abs()
            found[name] = torch.maximum(found.get(name, magnitude), magnitude)
    return found


def _differs(
    found: torch.Tensor,
    expected: torch.Tensor,
    inputs: torch.Tensor | None,
    documents: list[dict[str, object]],
) -> str | None:
    """How two tensors differ by more than they may, or None."""
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return f"{found.dtype} {tuple(found.shape)}, not {expected.dtype} {tuple(expected.shape)}"
    if all(document["merge_method"] == "passthrough" for document in documents):
        return None if torch.equal(found, expected) else "the bits differ"
    ours, theirs = found.double(), expected.double()
    computed = _compute_dtype(documents, expected)
    if computed != torch.float32 and inputs is not None:
        bound = STEPS * _step(torch.maximum(inputs, theirs.abs()), computed)
        bound = torch.minimum(bound, _step(theirs.abs().max(), computed))
    elif expected.dtype != torch.float32:
        bound = _step(theirs, expected.dtype)
    else:
        bound = TOLERANCE * theirs.abs().max() + torch.zeros_like(theirs)
    excess = (ours - theirs).abs() - bound
    if excess.max() <= 0 and torch.isfinite(ours).all():
        return None
    worst = int(excess.argmax())
    off = (ours - theirs).abs().max() / theirs.abs().max()
    return (
        f"{int((excess > 0).sum())} of {ours.numel()} differ, by up to {off:.2g} of the largest; "
        f"{ours.flatten()[worst]:.9g}, not {theirs.flatten()[worst]:.9g}"
    )


def _compute_dtype(documents: list[dict[str, object]], expected: torch.Tensor) -> torch.dtype:
    """What mergekit computes in: `dtype`, else the models' own."""
    named = documents[-1].get("dtype")
    if named is None:
        named = "float32" if "out_dtype" in documents[-1] else str(expected.dtype)[len("torch.") :]
    return getattr(torch, str(named))  # type: ignore[no-any-return]


def _step(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The distance between neighbouring numbers of a dtype, at each value's magnitude."""
    info = torch.finfo(dtype)
    exponent = torch.floor(torch.log2(values.abs().clamp(min=info.tiny)))
    return torch.exp2(exponent) * info.eps
