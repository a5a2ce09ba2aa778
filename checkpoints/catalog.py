"""A model's reference in a recipe -> its checkpoint: local paths, mirrors, the Hugging Face cache.

Nothing but headers, indexes and configs is fetched here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ..grammar.diagnostics import CheckpointError, Span, did_you_mean
from .adapters.adapter import Adapter, open_adapter
from .addresses import open_address
from .checkpoint import Checkpoint, open_checkpoint
from .formats.by_name import WEIGHTS
from .formats.safetensors import Known
from .hub.hub import Hub
from .hub.snapshots import (
    cached_repositories,
    entries,
    is_commit,
    mirrored_commit,
    repository_folder,
    snapshot,
)
from .local_store import LocalStore, locate
from .stores import Store
from .weight_files import weight_files

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://")
_LOCAL = re.compile(r"\.{1,2}([/\\]|$)|[/\\~]|[A-Za-z]:")
_PART = r"[A-Za-z0-9_][\w.-]*"
_HUB_ID = re.compile(
    rf"(?P<repo>(?:{_PART}/)?{_PART})(?:@(?P<revision>{_PART}(?:/{_PART})*))?", re.A
)


SCHEMES: dict[str, Callable[[str], Store]] = dict.fromkeys(
    ("https", "http", "s3", "gs", "az"), open_address
)
"""What opens the store of an address, by the part before `://`."""


class Located(NamedTuple):
    """Where a reference's checkpoint is: in a store, all of it or only one file.

    commit: the revision, where it is known. hint: how to get files that turn out to be missing.
    """

    store: Store
    only: str | None = None
    commit: str | None = None
    hint: str | None = None


@dataclass(eq=False)
class Catalog:
    """Finds and opens the checkpoints of one recipe, each once.

    recipe_folder: what local paths are relative to.
    mirrors: folders where `DIR/org/name` (or `DIR/org/name@revision`) stands for a Hub model.
    hub: where models are that are neither there nor in the Hugging Face cache.
    """

    recipe_folder: Path
    mirrors: Sequence[Path] = ()
    hub: Hub = field(default_factory=Hub)
    _by_reference: dict[tuple[str, bool], Checkpoint] = field(default_factory=dict, init=False)
    _adapters: dict[tuple[str, bool], Adapter] = field(default_factory=dict, init=False)
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

    def open_adapter(self, reference: str, span: Span, *, prefer_path: bool = False) -> Checkpoint:
        """The adapter that a recipe calls `reference`.

        Errors: as `open`, and those of `adapters.adapter.open_adapter`.
        """
        key = (reference, prefer_path)
        if (known := self._adapters.get(key)) is None:
            found = self._find(reference, span, prefer_path)
            known = self._adapters[key] = open_adapter(found.store, reference, span, self._headers)
        return known

    def warm(self, references: Iterable[str], *, prefer_path: bool = False) -> None:
        """Read ahead what planning needs of those that only the Hub has, many at a time."""
        models = []
        for reference in references:
            hub = self._hub_id(reference)
            if hub is None or "/" not in hub[0] or self.hub.offline:
                continue
            if any(os.path.exists(path) for path in self._paths(reference, hub, prefer_path)):
                continue
            if snapshot(*hub) is None:
                models.append(hub)
        if models:
            self.hub.warm(models)

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Those opened so far, one a reference, in the order of their first use."""
        return [*self._by_reference.values(), *self._adapters.values()]

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
            return self._at_address(reference, address[1], span)
        hub = self._hub_id(reference)
        looked = self._paths(reference, hub, prefer_path)
        for path in looked:
            if os.path.exists(path):
                commit = mirrored_commit(path) if hub is not None else None
                if hub is None or not _is_another(commit, hub[1]):
                    return Located(*locate(path), commit)
        if hub is None:
            raise _no_path(reference, looked, span)
        return self._find_on_hub(reference, *hub, looked, span)

    def _at_address(self, reference: str, scheme: str, span: Span) -> Located:
        """A folder at an address, or one file of it."""
        folder, _, name = reference.rpartition("/")
        only = name if name.endswith(WEIGHTS) else None
        try:
            return Located(SCHEMES[scheme](folder if only else reference), only)
        except CheckpointError as error:
            raise CheckpointError([replace(d, span=span) for d in error.diagnostics]) from None

    def _hub_id(self, reference: str) -> tuple[str, str | None] | None:
        """(repository, revision) of a reference that may be to the Hub."""
        found = None if _LOCAL.match(reference) else _HUB_ID.fullmatch(reference)
        return None if found is None else (found["repo"], found["revision"])

    def _paths(
        self, reference: str, hub: tuple[str, str | None] | None, prefer_path: bool
    ) -> list[Path]:
        """The paths that a reference may stand for."""
        looked: list[Path] = []
        if prefer_path or hub is None:
            folders = [self.recipe_folder] + ([Path()] if prefer_path else [])
            local = Path(os.path.expanduser(reference))
            looked += dict.fromkeys(folder / local for folder in folders)
        if hub is not None:
            looked += _in_mirrors(self.mirrors, *hub)
        return looked

    def _find_on_hub(
        self, reference: str, repo: str, revision: str | None, looked: list[Path], span: Span
    ) -> Located:
        """A model in the cache or on the Hub."""
        folder = snapshot(repo, revision)
        commit = folder.name if folder is not None else revision
        if (known := self.hub.known(repo, commit)) is not None:
            return Located(known, None, known.listing.commit)
        if folder is not None and (self.hub.offline or _is_complete(LocalStore(folder))):
            hint = f"run `{_download(repo, revision)}`"
            return Located(LocalStore(folder), None, commit, hint)
        if self.hub.offline:
            raise self._no_model(
                reference, repo, revision, [*looked, repository_folder(repo)], span
            )
        try:
            store = self.hub.store(repo, revision)
        except CheckpointError as error:
            raise self._placed(error, reference, repo, span) from None
        return Located(store, None, store.listing.commit)

    def _placed(
        self, error: CheckpointError, reference: str, repo: str, span: Span
    ) -> CheckpointError:
        """What the Hub says, at its place in the recipe, with what may have been meant."""
        near = did_you_mean(repo, [*_mirrored(self.mirrors), *cached_repositories()])
        if os.path.exists(self.recipe_folder / reference):
            near = f"for the local path write `./{reference}`"
        return CheckpointError(
            [
                replace(d, span=span, hint="; ".join(filter(None, (near, d.hint))))
                for d in error.diagnostics
            ]
        )

    def _no_model(
        self, reference: str, repo: str, revision: str | None, looked: list[Path], span: Span
    ) -> Exception:
        hints = [
            f"run `{_download(repo, revision)}`, or give `--models DIR` where DIR/{repo} is it"
        ]
        known = [*_mirrored(self.mirrors), *cached_repositories()]
        if repo in known:
            hints.insert(0, f"the cache has {repo} in another revision")
        elif near := did_you_mean(repo, known):
            hints.insert(0, near)
        if os.path.exists(self.recipe_folder / reference):
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
        "E0636",
        f"addresses that begin with `{scheme}://` can't be read: `{reference}`",
        span=span,
        hint=f"these can: {known}" if known else "a model is `org/name` on the Hub, or a path",
    )


def _is_another(commit: str | None, revision: str | None) -> bool:
    """Whether a mirror is known to be of another commit than the one that is asked for."""
    if commit is None or revision is None or not is_commit(revision):
        return False
    return not commit.startswith(revision)


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
    siblings = [entry.name for entry in entries(looked[0].parent)]
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


def _is_complete(store: LocalStore) -> bool:
    """Whether all weights are there: a download may have been of some files only, or cut off."""
    try:
        weight_files(store, None)
    except CheckpointError as error:
        return all(problem.code != "E0602" for problem in error.diagnostics)
    return True


def _mirrored(mirrors: Sequence[Path]) -> Iterator[str]:
    for mirror in mirrors:
        for organisation in entries(mirror):
            for model in entries(organisation):
                yield f"{organisation.name}/{model.name}".partition("@")[0]
