"""An output that is being made -> a complete folder under its final name, or nothing.

    out/                     what was there before, untouched until commit
    .out.mergec-DIGEST/      everything is written here: the run folder, locked while it is written
    .out.mergec-DIGEST/.mergec/
        owner                the process that writes
        journal              finished tensors, each on the disk before its line
        done/00000.json      markers of finished parts
        pass-0               thresholds of whole models after a pass over them
    .out.mergec-old/         the previous output, while names change and its user's files are moved

The digest is of the work, so a changed recipe has another folder. A run that ends early leaves its
folder if any tensor is finished in it, and the same command goes on there. A run that is killed
while names change leaves an old folder with its manifest: that still holds files of its user, which
the next run moves to where they belong.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ..checkpoints.shard_layout import Shard
from ..compiler.planning.planned_output import PlannedOutput
from ..grammar.diagnostics import MergecError, ResourceError, RunError, Span
from ..whole_files import write_whole
from .carry import MANIFEST_NAME, carry_over, claim, of_a_model
from .disk import allocate, check_space, flush, flush_folders, flush_tree, no_space
from .folder_lock import FolderLock, is_locked
from .manifest import write_manifest

CONTROL = ".mergec"
"""What a run keeps for itself in its folder; gone once that is an output."""

_DIGITS = 16
_RUN = re.compile(r"\.(?P<name>.+)\.mergec-(?:[0-9a-f]{16}|partial)")
_MOST_OWNER_BYTES = 4096


class RunFolder:
    """The folder of one output of one plan. Making the object touches nothing.

    `folder` is where to write: shards that `fill` made, at their slots' offsets, and other files.
    As a context manager it is this process's alone; leaving without a commit discards it, unless
    `keep` was called.
    """

    def __init__(self, path: Path, digest: str, span: Span | None = None) -> None:
        """digest: of the work. span: the recipe's place that names the output, for messages."""
        self.path = Path(os.path.realpath(path))  # the target of a link, not the link, is replaced
        self.folder = self.path.with_name(f".{self.path.name}.mergec-{digest[:_DIGITS]}")
        self.control = self.folder / CONTROL
        self.journal = self.control / "journal"
        self._old = self.path.with_name(f".{self.path.name}.mergec-old")
        self._span = span
        self._created: list[Path] = []
        self._lock = FolderLock(self.folder)
        self._keep = False
        self._committed = False

    # Whose it is --------------------------------------------------------------------------------

    def __enter__(self) -> RunFolder:
        """Create the folder, and those above it, and lock it.

        Errors: ResourceError E0502 (can't be created), E0503 (would overwrite what isn't mergec's),
        E0504 (another process writes the output).
        """
        try:
            self._refuse_foreign()
            self._make_folder()
            self._recover()
        except OSError as error:
            self.discard()
            raise self._error(error) from None
        except BaseException:  # an interruption too leaves nothing new behind
            self.discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def keep(self) -> None:
        """Something is finished in here: from now on the folder outlives this process."""
        self._keep = True

    def discard(self) -> None:
        """Let go of the folder, and remove it if nothing is finished in it.

        What was at `path` before stays. Harmless after a commit.
        """
        if self._committed:
            return
        if self._lock.held:
            if not self._keep:
                shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.release()
        while self._created and not self._keep:
            try:
                self._created.pop().rmdir()
            except OSError:  # somebody else uses the folder by now
                break

    def _make_folder(self) -> None:
        missing = [above for above in self.path.parents if not above.exists()]
        for above in reversed(missing):
            above.mkdir(exist_ok=True)
            self._created.append(above)
        while not self._lock.held:
            self.folder.mkdir(exist_ok=True)
            if not self._lock.acquire():
                raise self._busy(self.folder)
        self._keep = self.journal.exists()  # an earlier run's: not ours to discard
        for other in run_folders(self.path):
            if other != self.folder and is_locked(other):
                raise self._busy(other)
        self.control.mkdir(exist_ok=True)
        write_whole(self.control / "owner", json.dumps({"pid": os.getpid()}).encode())

    def _busy(self, folder: Path) -> MergecError:
        pid = owner(folder)
        by = f" (process {pid})" if pid else ""
        return ResourceError.of(
            "E0504",
            f"another mergec is writing {self.path}{by}",
            span=self._span,
            hint="wait until it's done, or choose another output path",
        )

    def _refuse_foreign(self) -> None:
        if self.path.is_symlink():  # although its links were followed
            raise ResourceError.of(
                "E0502",
                f"{self.path} is a link that leads back to itself",
                span=self._span,
                hint="remove it, or choose another output path",
            )
        if not self.path.exists():
            return
        what = "a file"
        if self.path.is_dir():
            if (self.path / MANIFEST_NAME).is_file() or not (foreign := of_a_model(self.path)):
                return  # ours, or empty, or a person's own files, which stay
            what = f"a folder without {MANIFEST_NAME} that holds {foreign}"
        raise ResourceError.of(
            "E0503",
            f"{self.path} is {what}: mergec only replaces its own outputs",
            span=self._span,
            hint="choose another output path, or move it away",
        )

    # What is in it ------------------------------------------------------------------------------

    def fill(self, planned: PlannedOutput) -> set[str]:
        """Write all small files, and have every shard with its header and its full size.

        So neither the disk runs out later, nor is anything but tensors left to be written. Shards
        that an earlier run made are kept; returns the names of those that had to be made.
        Errors: ResourceError E0501 (not enough space), E0502 (can't be written), RunError E0603 (a
        file can't be copied).
        """
        shards = planned.layout.shards
        new = [shard for shard in shards if not is_whole(self.folder, shard)]
        needed = sum(shard.size for shard in new)
        check_space({self.path: needed}, self._span)
        self._remove_strangers({shard.name for shard in shards} | {CONTROL})
        for file in planned.files:
            self.write(file.name, file.content)
        try:
            for shard in new:
                allocate(self.folder / shard.name, shard.header, shard.size)
            (self.control / "done").mkdir(exist_ok=True)
        except OSError as error:
            raise self._error(error, needed) from None
        return {shard.name for shard in new}

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, all of it or nothing. Errors: ResourceError E0501, E0502."""
        target = self.folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, content)
        except OSError as error:
            raise self._error(error) from None

    def write_manifest(self, facts: dict[str, Any]) -> None:
        """Write the manifest, the last of all files. Errors: ResourceError E0501, E0502."""
        try:
            write_manifest(self.folder, facts)
        except OSError as error:
            raise self._error(error) from None

    def _remove_strangers(self, ours: set[str]) -> None:
        """Small files of an earlier try, and whatever else doesn't belong here."""
        for left in self.folder.iterdir():
            if left.name not in ours or left.is_symlink():
                is_folder = left.is_dir() and not left.is_symlink()
                shutil.rmtree(left) if is_folder else left.unlink()

    # Its final name -----------------------------------------------------------------------------

    def commit(self) -> None:
        """Flush everything to the disk and give it the final name, replacing an earlier output.

        What the user has put into the earlier output is kept.
        Errors: ResourceError E0503, RunError E0603; the earlier output is still there then, or what
        of it couldn't be moved to the new one.
        """
        if not (self.folder / MANIFEST_NAME).is_file():
            raise ValueError(f"an output is not complete without its {MANIFEST_NAME}")
        self._refuse_foreign()
        try:
            flush_tree(self.folder)
            self._swap()
        except OSError as error:
            message = f"can't finish {self.path}: {error.strerror}"
            raise RunError.of("E0603", message, span=self._span) from None
        self._committed = True
        try:
            self._leave_old()
        except OSError as error:
            message = f"{self.path} is written, but files stay in {self._old}: {error.strerror}"
            raise RunError.of("E0603", message, span=self._span) from None
        finally:
            shutil.rmtree(self.path / CONTROL, ignore_errors=True)
            self._lock.release()

    def _swap(self) -> None:
        had_previous = self.path.exists()
        if had_previous:
            if not (self.path / MANIFEST_NAME).is_file():
                claim(self.path)
            self.path.rename(self._old)
        try:
            self.folder.rename(self.path)
        except OSError:
            if had_previous:
                self._old.rename(self.path)
            raise
        flush(self.path.parent)

    def _recover(self) -> None:
        """Undo a swap that was killed between its two renames, or finish one killed after them."""
        if (self.path / CONTROL).is_dir():  # killed just after it had its name
            shutil.rmtree(self.path / CONTROL, ignore_errors=True)
        if not self._old.is_dir():
            return
        if (self.path / MANIFEST_NAME).is_file():
            self._leave_old()
        else:
            self._old.rename(self.path)

    def _leave_old(self) -> None:
        """Carry the user's files over to the new output, then remove the old one.

        Its manifest goes first: a folder without one has nothing left to be carried over.
        """
        manifest = self._old / MANIFEST_NAME
        if manifest.is_file():
            carry_over(self._old, self.path)
            flush_folders(self.path)
            manifest.unlink()
        shutil.rmtree(self._old, ignore_errors=True)

    def _error(self, error: OSError, needed: int = 0) -> MergecError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return no_space(self.path.parent, needed, self._span)
        place = error.filename or self.folder
        return ResourceError.of(
            "E0502",
            f"can't write {self.path}: {place}: {error.strerror}",
            span=self._span,
            hint="choose an output path in a folder that you may write to",
        )


def run_folders(path: Path) -> list[Path]:
    """The folders beside an output that runs have left, or are at work in. Raises OSError."""
    real = Path(os.path.realpath(path))
    return [found for name, found in folders_in(real.parent) if name == real.name]


def folders_in(parent: Path) -> Iterator[tuple[str, Path]]:
    """(name of the output, its run folder) of every run folder in a folder."""
    entries = sorted(parent.iterdir()) if parent.is_dir() else []
    for entry in entries:
        found = _RUN.fullmatch(entry.name)
        if found and entry.is_dir() and not entry.is_symlink():
            yield found["name"], entry


def owner(folder: Path) -> int | None:
    """The process that writes, or wrote, a run folder, if that is known."""
    try:
        with (folder / CONTROL / "owner").open("rb") as stream:
            said: Any = json.loads(stream.read(_MOST_OWNER_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    pid = said.get("pid") if isinstance(said, dict) else None
    return pid if type(pid) is int else None


def is_whole(folder: Path, shard: Shard) -> bool:
    """Whether a shard is there, a file of its own, of its size, beginning with its header."""
    path = folder / shard.name
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size != shard.size:
            return False
        with path.open("rb") as stream:
            return stream.read(len(shard.header)) == shard.header
    except OSError:
        return False
