"""The memory that a plan counts on is what a container allows, where that is less."""

from __future__ import annotations

from pathlib import Path

import pytest
from mergec.compiler.planning import machine


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "own")
    return tmp_path


def limit(cgroups: Path, place: str, text: str) -> None:
    path = cgroups / "cgroup" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def test_the_least_limit_of_a_group_and_those_around_it_counts(cgroups: Path):
    free = machine.available_bytes()  # there is no file of groups yet
    (cgroups / "own").write_text("0::/outer/inner\n")
    limit(cgroups, "outer/inner/memory.max", "max")
    assert machine.available_bytes() == pytest.approx(free, rel=0.5)
    limit(cgroups, "outer/memory.max", str(2**26))
    assert machine.available_bytes() == 2**26
    limit(cgroups, "outer/inner/memory.max", str(2**25))
    assert machine.available_bytes() == 2**25


def test_groups_of_the_first_version(cgroups: Path):
    (cgroups / "own").write_text("9:name=systemd:/\n8:memory:/box\n7:cpu,cpuacct:/\n")
    limit(cgroups, "memory/box/memory.limit_in_bytes", str(2**24))
    limit(cgroups, "memory/memory.limit_in_bytes", "9223372036854771712")
    assert machine.available_bytes() == 2**24
