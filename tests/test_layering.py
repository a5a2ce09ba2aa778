"""The layering of ARCHITECTURE.md: who may import whom, no cycles, no hidden imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "grammar": set(),
    "machine_code": {"grammar"},
    "ops": {"machine_code"},
    "checkpoints": {"grammar", "ops"},
    "compiler": {"checkpoints", "grammar", "ops", "machine_code"},
    "runtime": {"compiler", "checkpoints", "ops", "grammar"},
    "views": {"compiler", "checkpoints", "ops", "grammar", "runtime"},
    "publishing": {"views", "compiler", "checkpoints", "ops", "grammar", "runtime"},
    "cli": {
        "views",
        "machine_code",
        "compiler",
        "checkpoints",
        "ops",
        "grammar",
        "runtime",
        "examples",
        "publishing",
        "",
    },
    "": {"compiler", "checkpoints", "ops", "grammar", "runtime", "cli", "publishing"},
}
LEAVES = {("version",), ("quantities",), ("home",), ("whole_files",)}
"""Modules at the top that every layer may import."""

HEAVY = {
    "torch",
    "networkx",
    "huggingface_hub",
    "tqdm",
    "obstore",
    "safetensors",
    "gguf",
    "llvmlite",
    "numpy",
    "rich",
    "yaml",
    "fcntl",
    "importlib",  # its metadata
    "jinja2",
    "tokenizers",
    "transformers",
}
MAY_HIDE_THEIR_OWN = {"", "cli", "grammar"}
"""Layers whose entry points load their own modules when first used, to start quickly."""

FILES = sorted(
    path
    for folder in MAY_IMPORT
    for path in (ROOT.glob("*.py") if folder == "" else (ROOT / folder).rglob("*.py"))
)


def layer(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else ""


def module(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(path: Path) -> list[tuple[tuple[str, ...], bool, bool]]:
    """(module, whether it is ours, whether it stands at the top) of everything that is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    top = {id(node) for node in tree.body}
    here = module(path) if path.name == "__init__.py" else module(path)[:-1]
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [(tuple(a.name.split(".")), False, id(node) in top) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = tuple((node.module or "").split(".")) if node.module else ()
            if node.level:
                base = here[: len(here) - node.level + 1] + base
                for alias in node.names:
                    inner = (*base, alias.name)
                    known = (ROOT.joinpath(*inner).with_suffix(".py")).exists()
                    known = known or ROOT.joinpath(*inner, "__init__.py").exists()
                    found.append((inner if known else base, True, id(node) in top))
            else:
                found.append((base, False, id(node) in top))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downwards(path: Path) -> None:
    allowed = MAY_IMPORT[layer(path)] | {layer(path)}
    for target, ours, _ in imports(path):
        if ours and target and target not in LEAVES:
            named = target[0] if ROOT.joinpath(target[0]).is_dir() else ""
            assert named in allowed, f"{path.name} imports {'.'.join(target)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_heavy_libraries_are_imported_late(path: Path) -> None:
    for target, ours, at_top in imports(path):
        if at_top or (target and target[0] in HEAVY) or layer(path) in MAY_HIDE_THEIR_OWN:
            continue
        # a module that loads a heavy library at its top is as heavy as the library
        if ours and any(t[:1] and t[0] in HEAVY for t, _, top in imports(file_of(target)) if top):
            continue
        raise AssertionError(f"{path.name} hides the import of {'.'.join(target)}")


def file_of(target: tuple[str, ...]) -> Path:
    plain = ROOT.joinpath(*target).with_suffix(".py")
    return plain if plain.exists() else ROOT.joinpath(*target, "__init__.py")


def test_there_are_no_cycles() -> None:
    edges = {
        module(path): {t for t, ours, at_top in imports(path) if ours and at_top} for path in FILES
    }
    done: set[tuple[str, ...]] = set()
    while True:
        ready = {
            m
            for m, needs in edges.items()
            if m not in done and not (needs & set(edges)) - done - {m}
        }
        if not ready:
            break
        done |= ready
    assert not set(edges) - done, sorted(".".join(m) for m in set(edges) - done)


def test_light_modules_start_light() -> None:
    import subprocess
    import sys

    program = (
        "import sys, mergec, mergec.grammar, mergec.compiler, mergec.ops.method\n"
        "heavy = {'torch', 'llvmlite', 'networkx', 'huggingface_hub', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded at start: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 420
