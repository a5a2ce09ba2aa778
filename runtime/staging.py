"""An output that is being written -> a complete folder under its final name, or nothing.

    out/                 what was there before, untouched until commit
    .out.mergec-partial  everything is written here; locked by the process that writes
    .out.mergec-old      the previous output, while names change and its user's files are moved

A run that is killed leaves the partial folder, which the next run takes over, or an old one with
its manifest: that still holds files of its user, which the next run moves to where they belong.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from ..checkpoints.shard_layout import Shard
from ..compiler.planning.planned_output import PlannedOutput
from ..grammar.diagnostics import MergecError, ResourceError, RunError, Span
from .carry import MANIFEST_NAME, carry_over, claim, of_a_model

__all__ = ["MANIFEST_NAME", "StagedOutput", "check_space"]


class StagedOutput:
    """A folder that appears as `path` only when `commit` is called.

    Use it as a context manager: leaving without a commit discards.
    `folder` is where to write meanwhile: shards that `allocate` made, at their slots' offsets, and
    any other file.
    """

    def __init__(self, path: Path, span: Span | None = None) -> None:
        """Create the partial folder, and the folders above it, and lock it.

        `span` is the recipe's place that names the output, for messages.
        Errors: ResourceError E0502 (can't be created), E0503 (would overwrite what isn't
        mergec's), E0504 (another process writes it).
        """
        self.path = Path(os.path.realpath(path))  # the target of a link, not the link, is replaced
        self.folder = self.path.with_name(f".{self.path.name}.mergec-partial")
        self._old = self.path.with_name(f".{self.path.name}.mergec-old")
        self._span = span
        self._created: list[Path] = []
        self._lock: int | None = None
        self._committed = False
        try:
            self._refuse_foreign()
            self._make_folder()
            self._recover()
        except OSError as error:
            self.discard()
            raise self._error(error) from None
        except BaseException:  # an interruption too leaves nothing behind
            self.discard()
            raise

    def allocate(self, planned: PlannedOutput) -> None:
        """Write all small files, and create every shard with its header and its full size.

        So neither the disk runs out later, nor is anything but tensors left to be written.
        Errors: ResourceError E0501 (not enough space), E0502 (can't be written), RunError E0603 (a
        file can't be copied).
        """
        layout = planned.layout
        check_space({self.path: layout.nbytes}, self._span)
        for file in planned.files:
            self.write_file(file.name, file.content)
        try:
            for shard in layout.shards:
                _allocate(self.folder / shard.name, shard)
        except OSError as error:
            raise self._error(error, layout.nbytes) from None

    def write_file(self, name: str, content: bytes) -> None:
        """Write a small file. Errors: ResourceError E0501, E0502."""
        target = self.folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as error:
            raise self._error(error) from None

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
            _flush_tree(self.folder)
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
            self._unlock()

    def discard(self) -> None:
        """Remove what was written; what was at `path` before stays. Harmless after a commit."""
        if self._committed:
            return
        if self._lock is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._unlock()
        while self._created:
            try:
                self._created.pop().rmdir()
            except OSError:  # somebody else uses the folder by now
                break

    def __enter__(self) -> StagedOutput:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def _make_folder(self) -> None:
        missing = [above for above in self.path.parents if not above.exists()]
        for above in reversed(missing):
            above.mkdir(exist_ok=True)
            self._created.append(above)
        while self._lock is None:
            self.folder.mkdir(exist_ok=True)
            self._lock = self._try_lock()
        for left in self.folder.iterdir():  # by a run that was killed
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()

    def _try_lock(self) -> int | None:
        """Lock the partial folder itself: the lock goes with it when it's renamed, or we die.

        None if the folder was renamed or removed just before.
        """
        if sys.platform == "win32":
            return -1  # no lock on a folder there
        import fcntl

        try:
            handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self.folder.exists() and os.path.samestat(os.fstat(handle), self.folder.stat()):
                return handle
        except BlockingIOError:
            os.close(handle)
            raise ResourceError.of(
                "E0504",
                f"another mergec is writing {self.path}",
                span=self._span,
                hint="wait until it's done, or choose another output path",
            ) from None
        os.close(handle)
        return None

    def _unlock(self) -> None:
        if self._lock is not None and self._lock >= 0:
            os.close(self._lock)
        self._lock = None

    def _recover(self) -> None:
        """Undo a swap that was killed between its two renames, or finish one killed after them."""
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
            _flush_folders(self.path)
            manifest.unlink()
        shutil.rmtree(self._old, ignore_errors=True)

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
        _flush(self.path.parent)

    def _error(self, error: OSError, needed: int = 0) -> MergecError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _no_space(self.path.parent, needed, self._span)
        place = error.filename or self.folder
        return ResourceError.of(
            "E0502",
            f"can't write {self.path}: {place}: {error.strerror}",
            span=self._span,
            hint="choose an output path in a folder that you may write to",
        )


def check_space(needs: Mapping[Path, int], span: Span | None = None) -> None:
    """Check that outputs of these sizes in bytes fit on their disks, all of them together.

    Errors: ResourceError E0501 that says what is needed and what is free.
    """
    by_disk: dict[int, tuple[Path, int]] = {}
    for path, nbytes in needs.items():
        above = next(above for above in Path(os.path.abspath(path)).parents if above.exists())
        disk = above.stat().st_dev
        first, total = by_disk.get(disk, (above, 0))
        by_disk[disk] = (first, total + nbytes)
    for above, total in by_disk.values():
        if shutil.disk_usage(above).free < total:
            raise _no_space(above, total, span)


def _no_space(folder: Path, needed: int, span: Span | None) -> MergecError:
    free = shutil.disk_usage(folder).free
    need = f" needs {needed:,} bytes," if needed else ""
    return ResourceError.of(
        "E0501",
        f"not enough disk space: the output{need} {free:,} are free in {folder}",
        span=span,
        hint="free some space, or choose an output path on another disk",
    )


def _allocate(path: Path, shard: Shard) -> None:
    with path.open("xb") as stream:
        stream.write(shard.header)
        stream.flush()
        try:
            os.posix_fallocate(stream.fileno(), 0, shard.size)
        except AttributeError:  # macOS, Windows
            stream.truncate(shard.size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            stream.truncate(shard.size)


def _flush_tree(folder: Path) -> None:
    """Bring the content and the names of all files to the disk itself."""
    for above, _, names in os.walk(folder, topdown=False):
        for path in [*(Path(above, name) for name in names), Path(above)]:
            _flush(path)


def _flush_folders(folder: Path) -> None:
    """Bring the names of all files to the disk itself; what others wrote needn't be readable."""
    for above, _, _ in os.walk(folder):
        _flush(Path(above))


def _flush(path: Path) -> None:
    if path.is_dir() and sys.platform == "win32":
        return  # folders can't be opened there
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
