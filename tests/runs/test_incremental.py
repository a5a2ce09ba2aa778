"""A changed recipe to the same output: only what changed is computed, and the reason is said."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import mergec
import pytest
from click.testing import Result
from mergec.runtime.changes import planned_changes
from support.merging import read_checkpoint

RECIPE = """\
let core = ties {{ base = "org/base"
  "org/a" weight=0.5 density=0.6
  "org/b" weight=0.3 density=0.5
}}
let std = match {{ mlp: {mlp}, _: 0.5 }}
save slerp {{ core, "org/a", t = std }} to "./out" {{ shard = 60KB }}
"""


@pytest.fixture
def place(tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(mirror, tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    write(0.5)
    assert run().computed == 21
    return tmp_path


def write(mlp: float) -> None:
    Path("r.merge").write_text(RECIPE.format(mlp=mlp))


def run() -> mergec.Report:
    return mergec.run("r.merge", models=["models"])


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir()}


def test_nothing_changed_nothing_written(place: Path) -> None:
    before = contents(place / "out")
    started = time.monotonic()
    report = run()
    assert time.monotonic() - started < 1
    assert (report.computed, report.copied, report.bytes_written) == (0, 0, 0)
    assert contents(place / "out") == before
    assert sorted(p.name for p in place.iterdir()) == ["models", "out", "r.merge"]


def test_keys_are_made_only_where_something_lies_that_could_be_used(place: Path) -> None:
    shutil.rmtree(place / "out")
    plan = mergec.compile("r.merge", models=["models"])
    alone = asdict(planned_changes(plan))
    assert not {"keys", "digests"} & vars(plan).keys()
    (place / ".out.mergec-0123456789abcdef").mkdir()
    beside = asdict(planned_changes(plan))
    assert {"keys", "digests"} <= vars(plan).keys()
    assert (alone.pop("leftovers"), len(beside.pop("leftovers"))) == ((), 1)
    assert alone.pop("seconds") > 0 < beside.pop("seconds")  # each looks at the page cache anew
    assert alone == beside
    assert alone["computed"] == 21


def test_only_what_changed_is_computed(place: Path) -> None:
    before = read_checkpoint(place / "out")
    write(0.6)
    changes = planned_changes(mergec.compile("r.merge", models=["models"]))
    assert (changes.computed, changes.copied) == (6, 15)
    assert changes.reasons == (("t: 0.5 → 0.6", 6),)
    report = run()
    assert (report.computed, report.copied) == (6, 15)
    after = read_checkpoint(place / "out")
    for name, tensor in after.items():
        assert tensor.equal(before[name]) == ("mlp" not in name)
    shutil.move("out", "partly")
    run()
    whole = contents(place / "out")
    for name, (_, data) in contents(place / "partly").items():
        assert data == whole[name][1], name


def test_a_word_in_the_recipe_changes_only_what_tells_of_it(place: Path) -> None:
    before = contents(place / "out")
    text = Path("r.merge").read_text() + "# a note\n"
    Path("r.merge").write_text(text)
    assert run().computed == 0
    after = contents(place / "out")
    changed = [name for name in after if after[name][1] != before[name][1]]
    assert sorted(changed) == ["README.md", "mergec.json", "recipe.merge"]
    assert json.loads(after["mergec.json"][1])["recipe"]["text"] == text


def test_other_shards_copy_all(place: Path) -> None:
    before = read_checkpoint(place / "out")
    first = next((place / "out").glob("model-00001-*")).name
    Path("r.merge").write_text(RECIPE.format(mlp=0.5).replace("60KB", "30KB"))
    report = run()
    assert (report.computed, report.copied) == (0, 21)
    after = read_checkpoint(place / "out")
    assert all(after[name].equal(tensor) for name, tensor in before.items())
    shards = sorted(p.name for p in (place / "out").glob("*.safetensors"))
    assert shards[0].endswith(f"-of-{len(shards):05d}.safetensors")
    assert len(shards) > int(first.rpartition("-of-")[2].removesuffix(".safetensors"))


def test_a_source_of_the_same_name_that_changed(place: Path) -> None:
    file = place / "models" / "org" / "b" / "model.safetensors"
    was = file.stat()
    shutil.copyfile(place / "models" / "org" / "base" / "model.safetensors", file)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    changes = planned_changes(mergec.compile("r.merge", models=["models"]))
    assert changes.reasons == (("org/b was written again", 21),)
    assert run().computed == 21


@pytest.mark.parametrize("how", ["bytes", "truncated", "gone"])
def test_what_was_changed_in_the_output_is_computed_again(how: str, place: Path) -> None:
    wanted = {name: data for name, (_, data) in contents(place / "out").items()}
    shard = sorted((place / "out").glob("*.safetensors"))[1]
    data = shard.read_bytes()
    if how == "gone":
        shard.unlink()
    else:
        shard.write_bytes(data[:-7] + b"1234567" if how == "bytes" else data[:-7])
    report = run()
    assert report.computed >= 1
    if how == "bytes":
        assert (report.computed, report.copied) == (1, 20)
    assert {name: data for name, (_, data) in contents(place / "out").items()} == wanted


def test_the_old_output_stays_until_the_new_one_is_complete(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mergec.runtime import run as running

    before = contents(place / "out")
    seen: list[bool] = []

    def looking(*arguments: object) -> None:
        seen.append(contents(place / "out") == before)
        finish(*arguments)  # type: ignore[arg-type]

    finish = running.finish
    monkeypatch.setattr(running, "finish", looking)
    write(0.6)
    run()
    assert seen == [True]
    assert contents(place / "out") != before


def test_plan_and_explain_say_it(place: Path, invoke: Callable[..., Result]) -> None:
    write(0.75)
    said = invoke("plan", "r.merge", "-m", "models").stdout
    assert "6 tensors to compute" in said and "15 tensors to copy" in said
    assert "6 tensors: t: 0.5 → 0.75" in said
    left = json.loads(invoke("plan", "r.merge", "-m", "models", "--json").stdout)["left"]
    assert left["reasons"] == [["t: 0.5 → 0.75", 6]]
    why = invoke("explain", "--why", "out", "r.merge", "-m", "models")
    assert why.exit_code == 0 and "6 tensors: t: 0.5 → 0.75" in why.stdout
    tree = invoke("explain", "out", "model.layers.0.mlp.up_proj.weight").stdout.splitlines()
    assert tree[0] == "model.layers.0.mlp.up_proj.weight"
    assert tree[1].startswith("└─ slerp  t=0.5")
    assert "r.merge:6" in tree[1]
    assert tree[2].startswith("   ├─ core  ties") and "r.merge:1" in tree[2]
    assert tree[3] == "   │  ├─ org/a  weight=0.5 density=0.6"
    assert tree[-2] == "   │  └─ org/base  (base)"
    assert tree[-1] == "   └─ org/a"
    wrong = invoke("explain", "out", "model.layers.0.mlp.up_proj.weigth")
    assert wrong.exit_code == 64 and "did you mean" in wrong.stderr
    assert invoke("explain", "models/org/a", "x").exit_code == 1


def test_verify(place: Path, invoke: Callable[..., Result]) -> None:
    found = invoke("verify", "out")
    assert found.exit_code == 0 and "checksums: nothing is wrong" in found.stdout
    assert invoke("verify", "models/org/a").exit_code == 0  # anybody's
    shard = sorted(Path("out").glob("*.safetensors"))[0]
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    found = invoke("verify", "out", "--json")
    assert found.exit_code == 1
    (problem,) = json.loads(found.stdout)["problems"]
    assert problem["code"] == "E0652" and "isn't what was written" in problem["message"]
    assert invoke("verify", "out", "--quick").exit_code == 0
    data[-2:] = b"\xff\x7f"
    shard.write_bytes(data)
    assert "E0654" in invoke("verify", "out").stderr
    config = json.loads(Path("out/config.json").read_text())
    wrong = config | {"num_hidden_layers": 3, "vocab_size": 65}
    Path("out/config.json").write_text(json.dumps(wrong))
    said = invoke("verify", "out", "--quick").stderr
    assert "says 3 layers, the weights have 2" in said and "vocab_size 65" in said
    assert "config.json has" in said  # its size isn't the recorded one


def test_diff(place: Path, invoke: Callable[..., Result]) -> None:
    assert "no difference" in invoke("diff", "models/org/a", "models/org/a").stdout
    found = json.loads(invoke("diff", "models/org/a", "models/org/b", "--json").stdout)
    a, b = (read_checkpoint(place / "models" / "org" / name) for name in "ab")
    for row in found["tensors"]:
        x, y = a[row["name"]].double().flatten(), b[row["name"]].double().flatten()
        assert row["relative"] == pytest.approx(float((y - x).norm() / x.norm()), rel=1e-9)
        assert row["cosine"] == pytest.approx(float(x @ y / x.norm() / y.norm()), rel=1e-9)
    assert [each["layer"] for each in found["layers"]] == [None, 0, 1]
    text = invoke("diff", "models/org/a", "out").stdout
    assert "█" in text and "tensors furthest apart" in text


def test_clean(place: Path, invoke: Callable[..., Result]) -> None:
    from mergec.runtime.run_folder import RunFolder

    with RunFolder(place / "out", "0123456789abcdef") as folder:
        folder.keep()
        said = invoke("clean", "out").stdout
        assert "kept" in said and f"process {os.getpid()}" in said
    plan = invoke("plan", "r.merge", "-m", "models").stdout
    assert "an interrupted run" in " ".join(plan.split())  # lines break where paths are long
    assert "would go" in invoke("clean", "--dry-run").stdout
    assert folder.folder.exists()
    assert "removed" in invoke("clean").stdout
    assert not folder.folder.exists()
    assert invoke("verify", "out").exit_code == 0
