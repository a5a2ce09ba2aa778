"""A checkpoint on disk -> its tensors, its config and its files: headers only, no data.

A checkpoint is a folder in the Hub's layout (an index with shards, or one file, or loose files) or
one .safetensors file, whose config and tokenizer are then looked for beside it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..grammar.diagnostics import CheckpointError, Span
from .safetensors_header import (
    MAX_HEADER_BYTES,
    CheckpointFile,
    Known,
    TensorInfo,
    printable,
    read_header,
)

__all__ = ["Checkpoint", "CheckpointFile", "TensorInfo", "open_checkpoint"]

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
ADAPTER_NAME = "adapter_model.safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_LISTED = 5  # names in one message
_MAX_NESTING = 50  # of a config: real ones have five levels, and others recurse over it


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint as its headers describe it.

    reference: what the recipe calls it.
    root: the folder of its config, tokenizer and other small files.
    tensors: by name, in the order of the files and of the offsets in them.
    config: the content of config.json, empty where there is none.
    revision: the commit, where it is known.
    """

    reference: str
    root: Path
    files: tuple[CheckpointFile, ...]
    tensors: dict[str, TensorInfo]
    config: dict[str, Any]
    revision: str | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


def open_checkpoint(
    path: Path,
    *,
    reference: str | None = None,
    span: Span | None = None,
    revision: str | None = None,
    hint: str | None = None,
    known: Known | None = None,
) -> Checkpoint:
    """Read the headers of the checkpoint at `path`, a folder or one .safetensors file.

    `hint` says how to obtain files that are missing; `known` holds headers that were read before.
    Errors: CheckpointError at `span`: E0601 to E0604 (files), E0310 to E0317 (their structure).
    """
    try:
        if not path.exists():
            raise CheckpointError.of("E0601", f"{path} doesn't exist")
        root = path if path.is_dir() else path.parent
        weight_map, paths = _weights_of(path)
        files, tensors = _read_files(paths, weight_map, known)
        if not tensors:
            raise CheckpointError.of("E0602", f"{path} holds no tensors")
        config = _read_config(root)
    except CheckpointError as error:
        problems = [
            replace(d, span=span, hint=hint if d.code == "E0602" and hint else d.hint)
            for d in error.diagnostics
        ]
        raise CheckpointError(problems) from None
    except OSError as error:
        raise CheckpointError.of(
            "E0603", f"can't read {path}: {error.strerror}", span=span
        ) from None
    return Checkpoint(reference or str(path), root, files, tensors, config, revision)


def _weights_of(path: Path) -> tuple[dict[str, str], list[Path]]:
    """The index's tensor -> file map (empty without an index) and the weight files to read."""
    if not path.is_dir():
        if path.suffix in _PICKLES:
            raise _unsupported(path)
        if path.suffix != ".safetensors":
            raise CheckpointError.of("E0604", f"{path} is neither a folder nor a .safetensors file")
        return {}, [path]
    if (path / INDEX_NAME).is_file():
        weight_map = _read_index(path / INDEX_NAME)
        return weight_map, _shards(path, weight_map)
    if (path / SINGLE_NAME).is_file():
        return {}, [path / SINGLE_NAME]
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    found = [entry for entry in entries if entry.suffix == ".safetensors"]
    weights = [entry for entry in found if entry.name != ADAPTER_NAME]
    if weights:
        return {}, weights
    if found:
        raise CheckpointError.of(
            "E0317",
            f"{path} is a LoRA adapter, not a whole model",
            hint="merge it into its base model first: adapters are not supported yet",
        )
    if pickles := [entry for entry in entries if entry.suffix in _PICKLES]:
        raise _unsupported(pickles[0])
    raise CheckpointError.of("E0602", f"{path} holds no .safetensors file")


def _unsupported(path: Path) -> Exception:
    return CheckpointError.of(
        "E0604",
        f"{path}: {path.suffix} files are not supported yet",
        hint="save the model as .safetensors, for example with transformers' save_pretrained",
    )


def _read_index(path: Path) -> dict[str, str]:
    """The index's `weight_map`: tensor name -> bare file name."""
    index = _read_json(path, "E0314", unique_keys=True)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError.of("E0314", f"{path} has no `weight_map`")
    for file in dict.fromkeys(
        file if type(file) is str else json.dumps(file) for file in weight_map.values()
    ):
        if not (_is_bare(file) and file.endswith((".safetensors", *_PICKLES))):
            raise CheckpointError.of(
                "E0314",
                f"{path} names {printable(file)!r} as a shard",
                hint="shards lie in the index's own folder and are named without a path",
            )
        if not file.endswith(".safetensors"):
            raise _unsupported(path.parent / file)
    return weight_map


def _is_bare(file: str) -> bool:
    """Whether a file name stays in its folder, on any system."""
    return bool(file) and file.isprintable() and not set(file) & set('/\\:*?"<>|')


def _shards(folder: Path, weight_map: dict[str, str]) -> list[Path]:
    paths = [folder / name for name in sorted(set(weight_map.values()))]
    if missing := [path.name for path in paths if not path.exists()]:
        of_all = f"{len(missing)} of the {len(paths)} shards of {folder}"
        are = "is" if len(missing) == 1 else "are"
        raise CheckpointError.of("E0602", f"{of_all} {are} missing: {_some(missing)}")
    return paths


def _read_files(
    paths: list[Path], weight_map: dict[str, str], known: Known | None
) -> tuple[tuple[CheckpointFile, ...], dict[str, TensorInfo]]:
    """Every file's header. A tensor that two files hold is the one that the index names."""
    files: list[CheckpointFile] = []
    tensors: dict[str, TensorInfo] = {}
    for number, path in enumerate(paths):
        file, found = read_header(path, number, known)
        files.append(file)
        here = path.name
        if weight_map:
            found = [tensor for tensor in found if weight_map.get(tensor.name, here) == here]
        new = {tensor.name: tensor for tensor in found}
        if twice := new.keys() & tensors.keys():
            name = next(tensor.name for tensor in found if tensor.name in twice)
            other = paths[tensors[name].file].name
            raise CheckpointError.of("E0315", f"tensor `{name}` is in both {other} and {here}")
        tensors |= new
    if absent := [name for name in weight_map if name not in tensors]:
        where = paths[0].with_name(weight_map[absent[0]])
        absent = [name for name in absent if weight_map[name] == where.name]
        raise CheckpointError.of(
            "E0315", f"{where} lacks tensors that the index places there: {_some(absent)}"
        )
    return tuple(files), tensors


def _read_config(root: Path) -> dict[str, Any]:
    path = root / "config.json"
    if not path.is_file():
        return {}
    config = _read_json(path, "E0316")
    level: list[Any] = [config]
    for _ in range(_MAX_NESTING):
        inner = [v.values() if isinstance(v, dict) else v for v in level]
        level = [v for values in inner for v in values if isinstance(v, dict | list)]
    if level:
        raise CheckpointError.of("E0316", f"{path} is nested over {_MAX_NESTING} levels deep")
    return config


def _read_json(path: Path, code: str, *, unique_keys: bool = False) -> dict[str, Any]:
    """A file that must hold one JSON object."""
    if path.stat().st_size > MAX_HEADER_BYTES:
        raise CheckpointError.of(code, f"{path} is over {MAX_HEADER_BYTES // 10**6} MB")
    hook = _unique if unique_keys else None
    try:
        content = json.loads(path.read_text("utf-8"), object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        raise CheckpointError.of(code, f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError.of(code, f"{path} doesn't hold a JSON object")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {twice!a} occurs twice")
    return content


def _some(names: list[str]) -> str:
    """The first few names, safe to print, and how many more there are."""
    shown = [printable(name) for name in names[:_LISTED]]
    more = [f"… {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return ", ".join(shown + more)
