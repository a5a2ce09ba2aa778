"""The source distribution builds the wheel, and the wheel works in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from support.checkpoints import tiny_mistral
from support.merging import read_checkpoint

ROOT = Path(__file__).parents[2]
LEFT_OUT = (".*", "build", "dist", "*.egg-info", "__pycache__", "data", "demo-out")

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was built from it."""
    source = tmp_path_factory.mktemp("source") / "mergec"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*LEFT_OUT))
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", str(source), "--outdir", str(out)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    words = result.stdout + result.stderr
    if "Could not find a version that satisfies the requirement setuptools" in words:
        pytest.skip("the build's own environment needs a package registry")
    assert result.returncode == 0, words[-3000:]
    return out


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a fresh environment with the wheel; dependencies are this environment's."""
    fresh = tmp_path_factory.mktemp("fresh")
    venv.create(fresh, with_pip=False)
    site = next((fresh / "lib").glob("python*/site-packages"))
    pip = [sys.executable, "-m", "pip", "--python", str(fresh / "bin" / "python")]
    wheel = next(distributions.glob("*.whl"))
    subprocess.run([*pip, "install", "--quiet", "--no-deps", str(wheel)], check=True)
    # a path in a .pth doesn't bring that folder's own .pth files: the editable install stays out
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return fresh / "bin"


def _run(installed: Path, folder: Path, *command: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    result = subprocess.run(
        [str(installed / command[0]), *command[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def test_wheel_holds_the_package_and_its_data(distributions: Path) -> None:
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    modules = {name.split("/")[1] for name in names if name.startswith("mergec/")}
    assert {"__init__.py", "py.typed", "cli", "compiler", "grammar", "ops", "runtime"} <= modules
    assert not modules & {"tests", "benchmarks", "build"}
    assert any(name.startswith("mergec/grammar/") and name.endswith(".lark") for name in names)
    examples = {path.name for path in (ROOT / "examples").iterdir() if path.is_file()}
    assert {f"mergec/examples/{name}" for name in examples} <= set(names)
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2  # nothing else lands at the top of site-packages
    sources = {
        path.relative_to(ROOT).as_posix()
        for part in ("cli", "compiler", "grammar", "ops", "runtime")
        for path in (ROOT / part).rglob("*.py")
    }
    assert {f"mergec/{name}" for name in sources} <= set(names)


def test_sdist_holds_what_the_wheel_is_built_from(distributions: Path) -> None:
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "cli/run_command.py",
        "grammar/text.py",
    } <= names


def test_installed_command_runs_from_any_folder(installed: Path, tmp_path: Path) -> None:
    version = _run(installed, tmp_path, "mergec", "--version")
    where = _run(
        installed,
        tmp_path,
        "python",
        "-c",
        "import mergec; print(mergec.__version__, mergec.__file__)",
    )
    assert version.split()[-1] == where.split()[0]
    assert Path(where.split()[1]).is_relative_to(installed.parent)


def test_installed_command_merges(installed: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("base", "a", "b")):
        tiny_mistral(tmp_path / "models" / "me" / name, seed)
    (tmp_path / "recipe.merge").write_text(
        'let merged = ties {\n  base = "me/base"\n  "me/a"  weight=0.5  density=0.5\n'
        '  "me/b"  weight=0.5  density=0.5\n}\nsave merged to "./merged" { dtype = bfloat16 }\n'
    )
    printed = _run(installed, tmp_path, "mergec", "run", "recipe.merge", "--models", "models")
    assert printed == str(tmp_path / "merged")
    merged = read_checkpoint(tmp_path / "merged")
    assert merged.keys() == read_checkpoint(tmp_path / "models" / "me" / "base").keys()
