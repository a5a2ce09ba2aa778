"""`--round-like-mergekit`: in 16 bits the numbers come nearer to mergekit's own."""

from __future__ import annotations

from pathlib import Path

import mergec
import torch
import yaml
from support.merging import read_checkpoint

MICRO = Path(__file__).parents[1] / "data" / "conformance" / "micro"
SHORT = [
    path
    for path in sorted((MICRO / "configs").glob("*.yaml"))
    if any(
        document.get("dtype") in ("bfloat16", "float16")
        for document in yaml.safe_load_all(path.read_text("utf-8"))
    )
]


def _merged(config: Path, out: Path, *, like: bool) -> dict[str, torch.Tensor]:
    recipe = MICRO / config.name  # as if it lay there: references start from the recipe
    text = config.read_text("utf-8")
    out.parent.mkdir(parents=True, exist_ok=True)
    local = out.parent / recipe.name
    local.write_text(text.replace("models/", f"{MICRO}/models/"), encoding="utf-8")
    mergec.run(mergec.compile(local, out=out, round_like_mergekit=like))
    return read_checkpoint(out)


def test_no_configuration_is_further_off_and_together_they_are_nearer(tmp_path: Path) -> None:
    total = [0.0, 0.0]
    for config in SHORT:
        expected = read_checkpoint(MICRO / "expected" / f"{config.stem}.safetensors")
        out = tmp_path / config.stem
        off = [
            _distance(_merged(config, out / f"{like}" / "out", like=like), expected)
            for like in (False, True)
        ]
        assert off[1] <= off[0] * 1.05 + 1e-9, config.stem
        total = [before + more for before, more in zip(total, off, strict=True)]
    assert total[1] < total[0] / 2


def _distance(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Root mean square of the differences, relative to that of what is expected."""
    pairs = [(found[name].double(), expected[name].double()) for name in expected]
    squares = [(((a - b) ** 2).sum(), (b**2).sum()) for a, b in pairs]
    return sum(float(off / size) for off, size in squares if size) ** 0.5
