"""A model's reference in a recipe -> its checkpoint: local paths, mirrors, the Hugging Face cache.

Nothing is downloaded. The cache is only read, by its documented layout: `models--org--name/refs`
holds commits by branch or tag, `snapshots/COMMIT` the files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ..grammar.diagnostics import CheckpointError, Span, did_you_mean
from .checkpoint import Checkpoint, open_checkpoint
from .formats.safetensors import Known
from .local_store import locate
from .stores import SCHEMES, Store

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://")
_LOCAL = re.compile(r"\.{1,2}([/\\]|$)|[/\\~]|[A-Za-z]:")
_PART = r"[A-Za-z0-9_][\w.-]*"
_HUB_ID = re.compile(
    rf"(?P<repo>(?:{_PART}/)?{_PART})(?:@(?P<revision>{_PART}(?:/{_PART})*))?", re.A
)
_COMMIT = re.compile(_PART, re.A)
_COMMIT_LENGTH = 40


class Located(NamedTuple):
    """Where a reference's checkpoint is: in a store, all of it or only one file.

    commit: the revision, where it is known. hint: how to get files that turn out to be missing.
    """

    store: Store
    only: str | None = None
    commit: str | None = None
    hint: str | None = None


@dataclass
class Catalog:
    """Finds and opens the checkpoints of one recipe, each once.

    recipe_folder: what local paths are relative to.
    mirrors: folders where `DIR/org/name` (or `DIR/org/name@revision`) stands for a Hub model.
    """

    recipe_folder: Path
    mirrors: Sequence[Path] = ()
    _by_reference: dict[tuple[str, bool], Checkpoint] = field(default_factory=dict, init=False)
    _by_real_name: dict[str, Checkpoint] = field(default_factory=dict, init=False)
    _headers: Known = field(default_factory=dict, init=False)

    def open(self, reference: str, span: Span, *, prefer_path: bool = False) -> Checkpoint:
        """The checkpoint that a recipe calls `reference`.

        `prefer_path` is mergekit's rule: any reference is first looked up as a path, relative to
        the recipe and then to the current folder.
        Errors: CheckpointError at `span`: E0601 (not found, where it looked, nearest names), and
        those of `open_checkpoint`.
        """
        key = (reference, prefer_path)
        if (known := self._by_reference.get(key)) is None:
            known = self._by_reference[key] = self._open(reference, span, prefer_path)
        return known

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Those opened so far, one a reference, in the order of their first use."""
        return list(self._by_reference.values())

    def inputs_within(self, folder: Path) -> list[str]:
        """References of the opened checkpoints that have a file in `folder`, say an output's."""
        return [
            checkpoint.reference
            for checkpoint in self.checkpoints
            if any(file.store.lies_in(file.name, folder) for file in checkpoint.files)
        ]

    def _open(self, reference: str, span: Span, prefer_path: bool) -> Checkpoint:
        store, only, commit, hint = self._find(reference, span, prefer_path)
        real = store.real(only or "")
        if (same := self._by_real_name.get(real)) is not None:
            return replace(same, reference=reference, store=store, revision=commit)
        checkpoint = open_checkpoint(
            store,
            only,
            reference=reference,
            span=span,
            revision=commit,
            hint=hint,
            known=self._headers,
        )
        self._by_real_name[real] = checkpoint
        return checkpoint

    def _find(self, reference: str, span: Span, prefer_path: bool) -> Located:
        """Where a reference lies."""
        if address := _SCHEME.match(reference):
            if address[1] not in SCHEMES:
                raise _no_scheme(reference, address[1], span)
            return Located(SCHEMES[address[1]](reference))
        path, hint = self._find_path(reference, span, prefer_path)
        commit = path.name if path.parent.name == "snapshots" else None
        return Located(*locate(path), commit, hint)

    def _find_path(self, reference: str, span: Span, prefer_path: bool) -> tuple[Path, str | None]:
        """Where a reference lies, and how to get files that turn out to be missing there."""
        hub = None if _LOCAL.match(reference) else _HUB_ID.fullmatch(reference)
        looked: list[Path] = []
        if prefer_path or hub is None:
            folders = [self.recipe_folder] + ([Path()] if prefer_path else [])
            local = Path(os.path.expanduser(reference))
            looked += dict.fromkeys(folder / local for folder in folders)
        if hub is not None:
            repo, revision = hub["repo"], hub["revision"]
            looked += _in_mirrors(self.mirrors, repo, revision)
        for path in looked:
            if path.exists():
                return path, None
        if hub is None:
            raise _no_path(reference, looked, span)
        repository = _hub_cache() / f"models--{repo.replace('/', '--')}"
        if (snapshot := _snapshot(repository, revision)) is not None:
            return snapshot, f"run `{_download(repo, revision)}`"
        raise self._no_model(reference, repo, revision, [*looked, repository], span)

    def _no_model(
        self, reference: str, repo: str, revision: str | None, looked: list[Path], span: Span
    ) -> Exception:
        hints = [
            f"run `{_download(repo, revision)}`, or give `--models DIR` where DIR/{repo} is it"
        ]
        known = [*_mirrored(self.mirrors), *_cached()]
        if repo in known:
            hints.insert(0, f"the cache has {repo} in another revision")
        elif near := did_you_mean(repo, known):
            hints.insert(0, near)
        if (self.recipe_folder / reference).exists():
            hints.insert(0, f"for the local path write `./{reference}`")
        return CheckpointError.of(
            "E0601",
            f"model `{reference}` is not on this machine",
            span=span,
            hint="; ".join(hints),
            notes=tuple(f"looked for {path}" for path in looked),
        )


def _no_scheme(reference: str, scheme: str, span: Span) -> Exception:
    known = ", ".join(f"{name}://" for name in SCHEMES)
    return CheckpointError.of(
        "E0601",
        f"addresses that begin with `{scheme}://` can't be read: `{reference}`",
        span=span,
        hint=f"these can: {known}" if known else "a model is `org/name` on the Hub, or a path",
    )


def asked_revision(reference: str) -> str | None:
    """The branch, tag or commit that a reference to a Hub model names, such as `main`."""
    hub = None if _LOCAL.match(reference) else _HUB_ID.fullmatch(reference)
    return None if hub is None else hub["revision"]


def _in_mirrors(mirrors: Sequence[Path], repo: str, revision: str | None) -> Iterator[Path]:
    for mirror in mirrors:
        if revision is not None:
            yield mirror / f"{repo}@{revision}"
        yield mirror / repo


def _no_path(reference: str, looked: list[Path], span: Span) -> Exception:
    siblings = [entry.name for entry in _entries(looked[0].parent)]
    near = did_you_mean(looked[0].name, siblings)
    return CheckpointError.of(
        "E0601",
        f"there is no model at `{reference}`",
        span=span,
        hint=near or "a model is `org/name` on the Hub, or a path that begins with ./ ../ / or ~",
        notes=tuple(f"looked for {path}" for path in looked),
    )


def _download(repo: str, revision: str | None) -> str:
    return f"hf download {repo}" + (f" --revision {revision}" if revision else "")


def _snapshot(repository: Path, revision: str | None) -> Path | None:
    """The folder of a branch, a tag, a commit or a commit's beginning, if the cache has it."""
    ref = repository / "refs" / (revision or "main")
    commit = ref.read_text("utf-8").strip() if ref.is_file() else revision
    if commit is None or not _COMMIT.fullmatch(commit):
        return None
    exact = repository / "snapshots" / commit
    if exact.is_dir() or len(commit) < 7 or len(commit) >= _COMMIT_LENGTH:
        return exact if exact.is_dir() else None
    matches = [e for e in _entries(repository / "snapshots") if e.name.startswith(commit)]
    return matches[0] if len(matches) == 1 else None


def _hub_cache() -> Path:
    """The Hugging Face cache's folder, by the environment variables that its library honours."""
    environment = os.environ
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if folder := environment.get(name):
            return Path(folder).expanduser()
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or os.path.join(caches, "huggingface")
    return Path(home).expanduser() / "hub"


def _mirrored(mirrors: Sequence[Path]) -> Iterator[str]:
    for mirror in mirrors:
        for organisation in _entries(mirror):
            for model in _entries(organisation):
                yield f"{organisation.name}/{model.name}".partition("@")[0]


def _cached() -> Iterator[str]:
    for entry in _entries(_hub_cache()):
        if entry.name.startswith("models--"):
            yield entry.name.removeprefix("models--").replace("--", "/", 1)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # not there, not a folder, not ours to read: it can't help with a hint
        return []
