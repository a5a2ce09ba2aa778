"""A recipe and its generated models -> files in a folder, unless something else would be lost.

What the demo writes depends on nothing but its version: a file with just that content is one of its
own. Its outputs are known by their manifests: this recipe, of models in this folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..grammar.diagnostics import ResourceError
from ..runtime.carry import MANIFEST_NAME
from ..whole_files import write_whole

MODELS = "models"
_LISTED = 5  # files in one message


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files of these names and contents below the folder, each all of it or nothing.

    Errors: ResourceError E0502.
    """
    for name, content in files.items():
        path = folder / name
        try:
            if path.is_file() and path.read_bytes() == content:
                continue  # a run takes a file that is written again for another one
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        except OSError as error:
            raise ResourceError.of("E0502", f"can't write {path}: {error.strerror}") from None


def refuse_foreign(
    folder: Path, files: Mapping[str, bytes], outputs: Sequence[str], recipe: str
) -> None:
    """Check that nothing of anyone else would be overwritten by these files and outputs.

    recipe: the text that the demo's own outputs were made of.
    Errors: ResourceError E0503 with what is in the way.
    """
    models = os.path.realpath(folder / MODELS)
    found = [name for name, content in files.items() if _is_foreign(folder, name, content)]
    found += [name for name in outputs if _is_foreign_output(folder / name, models, recipe)]
    if not found:
        return
    more = [f"… and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    raise ResourceError.of(
        "E0503",
        f"the demo would overwrite {folder / found[0]}, which it didn't make",
        hint="choose an empty folder: mergec demo FOLDER",
        notes=(*(f"in the way: {name}" for name in found[1:_LISTED]), *more),
    )


def _is_foreign(folder: Path, name: str, content: bytes) -> bool:
    """Whether something else is where a file would be, or where its folder would be."""
    path = folder / name
    for above in _between(folder, path):
        if os.path.lexists(above) and not above.is_dir():
            return True
    if not os.path.lexists(path):
        return False
    return not path.is_file() or path.read_bytes() != content


def _between(folder: Path, path: Path) -> Iterator[Path]:
    return (above for above in path.parents if above.is_relative_to(folder))


def _is_foreign_output(path: Path, models: str, recipe: str) -> bool:
    """Whether the output of another recipe, or of other models, would be replaced."""
    if not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir())):
        return False
    try:
        made = json.loads((path / MANIFEST_NAME).read_text(encoding="utf-8"))
        sources = [Path(source["path"]) for source in made["sources"]]
        return made["recipe"]["text"] != recipe or not all(
            source.is_relative_to(models) for source in sources
        )
    except (OSError, ValueError, KeyError, TypeError):
        return True
