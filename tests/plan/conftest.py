"""Models whose tensors are big enough that holding one shows, and small ones of the same names."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
import torch
from support.checkpoints import write_checkpoint

SHAPES = {"square.weight": (4096, 4096), "wide.weight": (1024, 4096), "norm.weight": (4096,)}
TALL = {"tall.weight": (32768, 256), "norm.weight": (4096,)}
FLAT = {f"{n}.weight": (768, 2048) for n in range(4)}
NAMES = ("base", "a", "b", "c")
MORE = ("d", "e", "f", "g")


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models big/NAME and small/NAME in bfloat16; tall/NAME, flat/NAME, low/NAME for whole ones."""
    folder = tmp_path_factory.mktemp("mirror")
    for name in (*NAMES, *MORE):
        _write(folder / "big" / name, SHAPES, name)
    for name in NAMES:
        _write(folder / "small" / name, dict.fromkeys(SHAPES, (64, 64)), name)
        _write(folder / "tall" / name, TALL, name)
        _write(folder / "flat" / name, FLAT, name)
        _write(folder / "low" / name, {"tall.weight": (64, 32), "norm.weight": (64,)}, name)
    return folder


def _write(folder: Path, shapes: dict[str, tuple[int, ...]], name: str) -> None:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    base = torch.Generator().manual_seed(0)
    tensors = {}
    for key, shape in shapes.items():
        values = torch.randn(shape, generator=base)
        if name != "base":
            values += 0.1 * torch.randn(shape, generator=generator)
        tensors[key] = values.to(torch.bfloat16)
    write_checkpoint(folder, tensors, {})
