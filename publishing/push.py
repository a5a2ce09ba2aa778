"""An output's folder -> a repository of the Hub.

What was uploaded before isn't uploaded again, so that a push that was stopped goes on when it is
repeated. Files of others in the repository are left alone; a repository that holds something is
only added to where that was asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..grammar.diagnostics import MergecError, ResourceError, RunError
from ..runtime.carry import MANIFEST_NAME, files_below
from ..version import __version__

_PART = r"[A-Za-z0-9_][\w.-]*"
_PLACE = re.compile(rf"(?:hf://)?(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[\w./-]+))?", re.A)
_GITS_OWN = {".gitattributes"}


class PushedFile(NamedTuple):
    """A file of an output, below its folder, and its bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class Destination:
    """A repository, and the branch that is written; None is the main one."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


def destination(text: str, revision: str | None = None) -> Destination:
    """The destination `org/name`, `hf://org/name` or either with `@branch`.

    Errors: ResourceError E0643.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ResourceError.of(
            "E0643",
            f"`{text}` isn't a repository's name",
            hint="names look like `org/name`, or `hf://org/name@branch`",
        )
    return Destination(found["repo"], revision or found["revision"])


def files_to_push(folder: Path) -> list[PushedFile]:
    """The files of a finished output, largest last. Errors: ResourceError E0644."""
    if not (folder / MANIFEST_NAME).is_file():
        raise ResourceError.of(
            "E0644",
            f"{folder} is no finished output: it has no {MANIFEST_NAME}",
            hint="push the folder that `mergec run` has printed",
        )
    names = (name for name in files_below(folder) if not name.startswith("."))
    found = [PushedFile(name, (folder / name).stat().st_size) for name in names]
    return sorted(found, key=lambda file: (file.size, file.name))


class Repository:
    """A repository to write to, with the token of whoever is logged in.

    Errors, here and below: RunError E0645 (nobody is logged in), E0646 (the Hub refuses).
    """

    def __init__(self, place: Destination) -> None:
        from huggingface_hub import HfApi, get_token

        self.place = place
        endpoint = os.environ.get("HF_ENDPOINT")
        self.api = HfApi(endpoint=endpoint, library_name="mergec", library_version=__version__)
        if get_token() is None:
            raise RunError.of(
                "E0645",
                f"nobody is logged in to the Hub, so {place} can't be written",
                hint="`hf auth login`, or set HF_TOKEN to a token that may write",
            )

    def held(self) -> dict[str, str | None]:
        """The files that it holds, each with the hash of a large one; none if it isn't there."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        try:
            with _refusals(self.place):
                tree = [
                    *self.api.list_repo_tree(
                        self.place.repo, recursive=True, revision=self.place.revision
                    )
                ]
        except (RepositoryNotFoundError, RevisionNotFoundError):
            return {}
        return {
            entry.path: getattr(getattr(entry, "lfs", None), "sha256", None)
            for entry in tree
            if hasattr(entry, "size") and entry.path not in _GITS_OWN
        }

    def refuse_overwriting(self, yes: bool) -> None:
        """Check that it is new or empty, unless a branch was named or `yes` was said.

        Errors: ResourceError E0647.
        """
        if yes or self.place.revision is not None:
            return
        if held := self.held():
            raise ResourceError.of(
                "E0647",
                f"{self.place} holds {len(held)} files already",
                hint="write to a branch of it with `--revision NAME`, or say `--yes`",
            )

    def create(self, private: bool) -> None:
        """Make it, and its branch, where they aren't there."""
        with _refusals(self.place):
            self.api.create_repo(self.place.repo, private=private or None, exist_ok=True)
            if self.place.revision is not None:
                self.api.create_branch(self.place.repo, branch=self.place.revision, exist_ok=True)

    def upload(self, folder: Path, files: list[PushedFile]) -> str:
        """Upload files of a folder; the address of what they make."""
        with _refusals(self.place):
            self.api.upload_folder(
                repo_id=self.place.repo,
                folder_path=folder,
                revision=self.place.revision,
                allow_patterns=[_literal(file.name) for file in files],
                commit_message=f"mergec {__version__}",
            )
        return f"{self.api.endpoint}/{self.place.repo}"


def push(folder: Path, place: Destination, *, private: bool = False, yes: bool = False) -> str:
    """Upload a finished output; the address of its page. Errors: E0644 to E0647."""
    files = files_to_push(folder)
    repository = Repository(place)
    repository.refuse_overwriting(yes)
    repository.create(private)
    return repository.upload(folder, files)


@contextmanager
def _refusals(place: Destination) -> Iterator[None]:
    """Turns what the Hub answers into an error with its words."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except (HfHubHTTPError, OSError, RuntimeError) as error:  # RuntimeError: an upload of a file
        raise _refused(place, error) from None


def _refused(place: Destination, error: Exception) -> MergecError:
    cause = (error.__cause__ or error) if isinstance(error, RuntimeError) else error
    said: Any = getattr(cause, "server_message", None) or str(cause)
    first = next(iter(str(said).strip().splitlines()), type(error).__name__)
    return RunError.of(
        "E0646",
        f"the Hub doesn't take {place}: {first}",
        hint="do it again when the cause is gone: what is there isn't uploaded again",
    )


def _literal(name: str) -> str:
    """A pattern that only this name matches."""
    return re.sub(r"([*?\[])", r"[\1]", name)
