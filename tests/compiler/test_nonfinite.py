"""NaN and infinity in an input are refused by name, unless the recipe allows them."""

from __future__ import annotations

from pathlib import Path

import mergec
import numpy as np
import pytest
from mergec.errors import RunError
from support.checkpoints import write_checkpoint

METHODS = {
    "linear": '"./good" weight=0.5\n"./bad" weight=0.5',
    "slerp": '"./good"\n"./bad"\nt = 0.3',
    "ties": 'base = "./good"\n"./bad" weight=0.5 density=0.3',
    "dare_ties": 'base = "./good"\n"./bad" weight=0.5 density=0.01',
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize("method", METHODS)
def test_refused_by_name(
    tmp_path: Path, method: str, backend: str, dtype: str, value: float
) -> None:
    good = np.random.default_rng(0).standard_normal((900, 200)).astype(dtype)
    bad = good.copy()
    bad[870, 3] = value  # in the second tile
    write_checkpoint(tmp_path / "good", {"x.weight": good}, {})
    write_checkpoint(tmp_path / "bad", {"x.weight": bad}, {})
    text = f'save {method} {{ {METHODS[method]} }} to "./out"'
    (tmp_path / "r.merge").write_text(text, encoding="utf-8")
    with pytest.raises(RunError) as caught:
        mergec.run(mergec.compile(str(tmp_path / "r.merge")), backend=backend)
    message = str(caught.value)
    assert "E0608" in message and "`x.weight` of ./bad" in message
    assert f"element {870 * 200 + 3}" in message
    assert not (tmp_path / "out").exists()
    (tmp_path / "r.merge").write_text("set nonfinite = allow\n" + text, encoding="utf-8")
    mergec.run(mergec.compile(str(tmp_path / "r.merge")), backend=backend)
