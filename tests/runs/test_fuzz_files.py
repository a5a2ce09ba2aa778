"""Mutants of every kind of file that mergec reads: each is read or refused with a code.

A few dozen of each here; `MERGEC_FUZZ=100000 python -m pytest tests/runs/test_fuzz_files.py`
tries so many. What once failed is in `tests/runs/corpus`, and tried each time.
"""

from __future__ import annotations

import json
import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import mergec
import pytest
from mergec import api
from mergec.compiler.planning.lineage import read_lineage
from mergec.errors import MergecError
from mergec.grammar import parse_text
from mergec.grammar.diagnostics import SourceText
from mergec.runtime.checksums import Checksum
from mergec.runtime.earlier_output import read_earlier
from mergec.runtime.journal import Finished, journal_line, parse_journal
from mergec.runtime.pools import decode_counts
from support.stores import open_path

ROUNDS = int(os.environ.get("MERGEC_FUZZ", "60"))
CORPUS = Path(__file__).with_name("corpus")
SECONDS = 1.0
"""The longest that one mutant may take."""

HEADER = {
    "__metadata__": {"format": "pt"},
    "model.embed_tokens.weight": {"dtype": "BF16", "shape": [4, 2], "data_offsets": [0, 16]},
    "model.norm.weight": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]},
}
RECIPE = b"""\
let base = "org/base"
param t = 0.25
let core = ties { base = base
  "org/a"  weight=0.5  density=[0.1, 0.9]
  "org/b"  weight=0.3  density=match { mlp: 0.5, _: 1 }
}
save slerp { core, "org/a", t = t } to "./out" { dtype = bfloat16, shard = 2GB }
"""
YAML = b"""\
merge_method: dare_ties
base_model: org/base
models:
  - model: org/a
    parameters: {weight: 0.5, density: [0.1, 0.9]}
  - model: org/b
    parameters:
      weight:
        - filter: mlp
          value: 0.5
        - value: 1
dtype: bfloat16
"""


def _safetensors(folder: Path, data: bytes) -> None:
    header = struct.pack("<Q", len(data)) + data if data[:1] == b"{" else data
    (folder / "model.safetensors").write_bytes(header + b"\0" * 24)
    open_path(folder)


def _index(folder: Path, data: bytes) -> None:
    (folder / "model.safetensors.index.json").write_bytes(data)
    text = json.dumps(HEADER).encode()
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 24)
    open_path(folder)


def _config(folder: Path, data: bytes) -> None:
    (folder / "config.json").write_bytes(data)
    _safetensors(folder, json.dumps(HEADER).encode())


def _text(folder: Path, data: bytes) -> None:
    parse_text(SourceText("r.merge", data.decode("utf-8", "replace")))


def _yaml(folder: Path, data: bytes) -> None:
    (folder / "r.yaml").write_bytes(data)
    mergec.compile(folder / "r.yaml", offline=True)


def _plan(folder: Path, data: bytes) -> None:
    (folder / "x.mplan").write_bytes(data)
    api.read_plan(folder / "x.mplan")


def _journal(folder: Path, data: bytes) -> None:
    found, good = parse_journal(data)
    assert 0 <= good <= len(data) and all(isinstance(f, Finished) for f in found.values())


def _manifest(folder: Path, data: bytes) -> None:
    (folder / "mergec.json").write_bytes(data)
    _safetensors(folder, json.dumps(HEADER).encode())
    read_earlier(folder)


def _counts(folder: Path, data: bytes) -> None:
    assert decode_counts(data) is None or data[16:17] == b"["


def _seed_journal() -> bytes:
    checksum = Checksum(8)
    checksum.add(0, memoryview(b"12345678"))
    return b"".join(journal_line(name, Finished("k", checksum.text)) for name in "abc")


INDEX = {"metadata": {}, "weight_map": dict.fromkeys(list(HEADER)[1:], "a.safetensors")}
TARGETS: dict[str, tuple[Callable[[Path, bytes], None], bytes]] = {
    "header": (_safetensors, json.dumps(HEADER).encode()),
    "index": (_index, json.dumps(INDEX).encode()),
    "config": (_config, b'{"num_hidden_layers": 2, "vocab_size": 4, "x": [1, {"y": null}]}'),
    "text": (_text, RECIPE),
    "yaml": (_yaml, YAML),
    "plan": (
        _plan,
        b'{"format": "mergec-plan", "format_version": 1, "mergec": "0", "options": {}}',
    ),
    "journal": (_journal, _seed_journal()),
    "manifest": (_manifest, b'{"keys": {"a": "k"}, "checksums": {"a": "xxh3-8-00"}, "made": {}}'),
    "counts": (_counts, b"0123456789abcdef[[0, 1]]\n12345678"),
}
TOKENS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b",",
    b"\0",
    b"\n",
    b"-1",
    b"1e999",
    b"9" * 40,
    b"\xff",
]
TOKENS += [b"null", b"true", b"NaN", b"[" * 300, b"../../x", b"\xed\xa0\x80", "\u202e".encode()]


def mutant(draw: random.Random, seed: bytes) -> bytes:
    """The seed with a few pieces cut, doubled, replaced or flipped."""
    data = bytearray(seed)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) + 1)
        until = min(len(data), at + draw.choice([0, 1, 1, 2, 8, 40]))
        what = draw.randrange(4)
        if what == 0:
            del data[at:until]
        elif what == 1:
            data[at:at] = data[at:until] * draw.randint(1, 3)
        elif what == 2:
            data[at:until] = draw.choice(TOKENS)
        elif at < len(data):
            data[at] ^= 1 << draw.randrange(8)
    return bytes(data)


def attempt(name: str, folder: Path, data: bytes) -> None:
    read, _ = TARGETS[name]
    started = time.monotonic()
    try:
        read(folder, data)
    except MergecError as error:
        assert str(error) and all(d.code != "E0900" for d in error.diagnostics)
    assert time.monotonic() - started < SECONDS * 10 or ROUNDS < 1000, "too slow"


@pytest.mark.parametrize("name", TARGETS)
def test_mutants_are_read_or_refused(name: str, tmp_path: Path) -> None:
    draw = random.Random(7)
    _, seed = TARGETS[name]
    for _ in range(ROUNDS):
        data = mutant(draw, seed)
        try:
            attempt(name, tmp_path, data)
        except Exception as error:
            raise AssertionError(f"{name}: {data!r}") from error


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: path.name)
def test_what_once_failed(path: Path, tmp_path: Path) -> None:
    attempt(path.parent.name, tmp_path, path.read_bytes())


def test_lineages_are_checked() -> None:
    load = {"op": "load", "source": "a", "file": "0"}
    assert read_lineage({"entries": [load], "tensors": {"x": 0}}) is not None
    merge = {"op": "slerp", "inputs": [1]}
    for entries, tensors in (([merge], {}), ([load], {"x": 1}), ([{"op": 1}], {}), ([load], [0])):
        assert read_lineage({"entries": entries, "tensors": tensors}) is None
