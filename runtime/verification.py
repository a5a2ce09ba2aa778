"""A checkpoint -> whether it is what it says: files, names, shapes, checksums, finite numbers.

Works on anybody's: what a manifest or a config doesn't say isn't checked. Tensors are read once, a
piece at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints.checkpoint import Checkpoint, open_checkpoint
from ..checkpoints.layers import Layers, is_head, layer_counts, main_sections
from ..checkpoints.local_store import locate
from ..checkpoints.source_tensors import SourceTensor
from ..checkpoints.tied_head import TOKEN_EMBEDDINGS
from ..compiler.kernels.arguments import NONFINITE, STORAGE
from ..compiler.planning.machine import processor_count
from ..grammar.diagnostics import Diagnostic
from .carry import MANIFEST_NAME
from .checksums import Checksum, block_of
from .files import Files

_PIECE = 4 * 2**20


@dataclass(frozen=True)
class Verification:
    """What was looked at, and what is wrong: nothing, if `problems` is empty.

    checked: what could be known of this checkpoint, such as `checksums`.
    """

    path: Path
    tensors: int
    nbytes: int
    checked: tuple[str, ...]
    problems: tuple[Diagnostic, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "tensors": self.tensors,
            "bytes": self.nbytes,
            "checked": list(self.checked),
            "problems": [problem.to_json() for problem in self.problems],
        }


def verify(path: Path, *, quick: bool = False) -> Verification:
    """Check the checkpoint at a path, a folder or a .safetensors file.

    quick: don't read the tensors' bytes. Errors: CheckpointError E0601 to E0605, E0310 to E0317 for
    one that can't be opened at all.
    """
    store, only = locate(path)
    checkpoint = open_checkpoint(store, only)
    manifest = _read_manifest(Path(path)) if only is None else {}
    checked = ["headers"]
    problems: list[Diagnostic] = []
    if manifest:
        checked.append("files")
        problems += _files(Path(path), manifest)
    if checkpoint.config:
        checked.append("config")
        problems += _config(checkpoint)
    sums = manifest.get("checksums")
    sums = sums if isinstance(sums, dict) else {}
    problems += [
        Diagnostic("E0652", f"tensor `{name}` is in {MANIFEST_NAME} and nowhere else")
        for name in sums
        if name not in checkpoint.tensors
    ]
    if not quick:
        checked += ["finite numbers", *(["checksums"] if sums else [])]
        problems += _contents(checkpoint, sums)
    return Verification(
        path, len(checkpoint.tensors), checkpoint.nbytes, tuple(checked), tuple(problems)
    )


def _read_manifest(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / MANIFEST_NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _files(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Files that the manifest lists and that are gone, or have another size."""
    listed = manifest.get("files")
    for file in listed if isinstance(listed, list) else ():
        name, size = (file.get("name"), file.get("size")) if isinstance(file, dict) else ("", 0)
        place = folder / str(name)
        found = place.stat().st_size if place.is_file() else None
        if found is None:
            yield Diagnostic("E0652", f"{name} is missing")
        elif found != size:
            yield Diagnostic("E0652", f"{name} has {found:,} bytes, had {size:,}")


def _config(checkpoint: Checkpoint) -> Iterator[Diagnostic]:
    """What config.json implies of names and shapes."""
    names, config = checkpoint.tensors, checkpoint.config
    said = next(iter(layer_counts(config)), None)
    found = Layers.of(names, {}).count
    if said is not None and found and said != found:
        yield Diagnostic("E0653", f"config.json says {said} layers, the weights have {found}")
    sections = main_sections(config)
    ties = [s["tie_word_embeddings"] for s in sections if "tie_word_embeddings" in s]
    embeddings = [t for n, t in names.items() if n.endswith(TOKEN_EMBEDDINGS)]
    if ties and ties[0] is False and embeddings and not any(is_head(name) for name in names):
        yield Diagnostic("E0653", "config.json ties no head, and the weights have none")
    if len(embeddings) == 1 and len(embeddings[0].shape) == 2:
        rows, columns = embeddings[0].shape
        for section in sections:
            for key, here in (("vocab_size", rows), ("hidden_size", columns)):
                wanted = section.get(key)
                if type(wanted) is int and wanted != here:
                    name = embeddings[0].name
                    yield Diagnostic(
                        "E0653", f"config.json says {key} {wanted:,}, `{name}` has {here:,}"
                    )


def _contents(checkpoint: Checkpoint, sums: Mapping[str, Any]) -> list[Diagnostic]:
    """Tensors that hold NaN or infinity, or aren't what was written."""
    files = Files()

    def look(tensor: SourceTensor) -> list[Diagnostic]:
        return list(_tensor(tensor, files, sums.get(tensor.name)))

    try:
        with ThreadPoolExecutor(processor_count()) as pool:
            found = list(pool.map(look, checkpoint.tensors.values()))
    finally:
        files.close()
    return [problem for problems in found for problem in problems]


def _tensor(tensor: SourceTensor, files: Files, recorded: object) -> Iterator[Diagnostic]:
    reader = tensor.reader(files.source)
    block = block_of(recorded)
    piece = block or _PIECE - _PIECE % max(1, tensor.dtype.itemsize)
    found = Checksum(piece)
    room = memoryview(bytearray(min(piece, tensor.nbytes)))
    bad = False
    for start in range(0, tensor.nbytes, piece):
        data = room[: min(piece, tensor.nbytes - start)]
        reader.read(start, data)
        if block is not None:
            found.add(start, data)
        bad = bad or (tensor.dtype.is_float and not _is_finite(data, tensor.dtype.name))
    if bad:
        yield Diagnostic("E0654", f"tensor `{tensor.name}` holds NaN or infinity")
    if block is not None and found.text != recorded:
        yield Diagnostic("E0652", f"tensor `{tensor.name}` isn't what was written")


def _is_finite(data: memoryview, dtype: str) -> bool:
    bits = np.frombuffer(data, dtype=STORAGE[dtype])
    exponent = NONFINITE.get(dtype)
    if exponent is None:
        return bool(np.isfinite(bits).all())
    return not bool(((bits & exponent) == exponent).any())
