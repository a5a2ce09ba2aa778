"""Real merges from a store that is no folder: nothing outside of `checkpoints` can tell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from mergec.checkpoints.catalog import SCHEMES
from mergec.compiler.planning.estimate import cached_share
from mergec.grammar.diagnostics import CheckpointError, RecipeError, RunError
from mergec.runtime.run import run_plan
from support.checkpoints import tiny_mistral
from support.merging import merge, plan_recipe
from support.stores import MemoryStore

RECIPE = """
let core = ties {{
  base = "{base}"
  "{a}" weight=0.5 density=0.6
  "{b}" weight=0.5 density=0.6
}}
let mix = slerp {{ core, "{a}", t = 0.3 }}
save mix to "./out" {{ dtype = bfloat16 }}
"""
NAMES = ("base", "a", "b")


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, MemoryStore]:
    found = {}
    for seed, name in enumerate(NAMES):
        folder = tiny_mistral(tmp_path / name, seed, shards=2)
        (folder / "tokenizer.json").write_text(json.dumps({"of": name}))
        found[f"memory://{name}"] = MemoryStore(f"memory://{name}").fill(folder)
    monkeypatch.setitem(SCHEMES, "memory", lambda address: found[address])
    return found


@pytest.fixture
def texts() -> Iterator[tuple[str, str]]:
    yield (
        RECIPE.format(**{name: f"memory://{name}" for name in NAMES}),
        RECIPE.format(**{name: f"./{name}" for name in NAMES}),
    )


def test_the_bytes_are_those_of_a_folder(tmp_path, stores, texts):
    remote, local = texts
    merge(remote, tmp_path / "remote")
    merge(local, tmp_path / "local", folder=tmp_path)
    files = sorted(path.name for path in (tmp_path / "local").iterdir())
    assert sorted(path.name for path in (tmp_path / "remote").iterdir()) == files
    assert "tokenizer.json" in files
    for name in set(files) - {"mergec.json"}:
        assert (tmp_path / "remote" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


def test_planning_reads_headers_only(tmp_path, stores, texts):
    plan = plan_recipe(texts[0], tmp_path / "out")
    for store in stores.values():
        weights = [read for read in store.reads if read[0].endswith(".safetensors")]
        assert Counter(name for name, _, _ in weights) == dict.fromkeys(
            store.names("*.safetensors"), 2
        )
        assert sum(count for _, _, count in weights) < 20_000
        assert store.open_files == 0
    assert cached_share(plan) == 0.0


def test_what_is_read_next_is_announced(tmp_path, stores, texts):
    report = merge(texts[0], tmp_path / "out")
    for store in stores.values():
        assert store.open_files == 0
        assert store.announced
    assert report.bytes_read > 0


def test_a_store_that_fails_leaves_no_output(tmp_path, stores, texts):
    plan = plan_recipe(texts[0], tmp_path / "out")
    store = stores["memory://a"]
    store.failing = len(store.reads) + 10
    with pytest.raises(RunError, match="the line is dead"):
        run_plan(plan)
    assert not (tmp_path / "out").exists()
    assert all(store.open_files == 0 for store in stores.values())


def test_a_shard_that_is_gone_by_the_time_it_is_read(tmp_path, stores, texts):
    plan = plan_recipe(texts[0], tmp_path / "out")
    del stores["memory://b"].files["model-00002-of-00002.safetensors"]
    with pytest.raises(RunError, match=r"memory://b/model-00002-of-00002\.safetensors is missing"):
        run_plan(plan)


def test_slow_reads_are_waited_for(tmp_path, stores, texts):
    for store in stores.values():
        store.delay = 0.002
    merge(texts[0], tmp_path / "slow")
    merge(texts[1], tmp_path / "local", folder=tmp_path)
    name = "model.safetensors"
    assert (tmp_path / "slow" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


def test_an_unknown_scheme_is_refused(tmp_path):
    with pytest.raises((CheckpointError, RecipeError), match="addresses that begin with `ftp://`"):
        plan_recipe('save "ftp://host/model" to "./out"', tmp_path / "out")
