"""Places and problems: text offsets -> spans -> diagnostics -> one readable message each.

Every part of mergec reports trouble with these types, so that a problem looks the same on a
terminal, in `--json` and in an editor. The exception tree:

    MergecError                  carries one or more diagnostics
    ├── RecipeError              E01xx syntax, E02xx names and kinds, E03xx models and parameters
    ├── CheckpointError          E031x, E06xx: a checkpoint that can't be read or trusted
    ├── ResourceError            E05xx: memory, disk, permissions
    └── RunError                 E06xx, E09xx: reading or writing failed while running
"""

from __future__ import annotations

import bisect
import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True, eq=False)
class SourceText:
    """One recipe's text. Messages call it `name`: a path as given, or `<text>`."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """The digest of the text, in hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0] + [i + 1 for i, char in enumerate(self.text) if char == "\n"]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both counted from 1."""
        line = bisect.bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line (from 1), without its line break."""
        start = self._line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)].rstrip("\r")


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of characters of one source text."""

    source: SourceText
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    def to(self, other: Span) -> Span:
        """The range from this span's start to the other's end."""
        return Span(self.source, self.start, max(self.end, other.end))

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that helps to understand a problem."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem: a stable code, what is wrong, where, and what to do about it."""

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    hint: str | None = None
    notes: tuple[str, ...] = ()
    related: tuple[Label, ...] = ()

    @property
    def severity(self) -> str:
        return "warning" if self.code.startswith("W") else "error"

    @property
    def sort_key(self) -> tuple[str, int]:
        return (self.span.source.name, self.span.start) if self.span else ("", -1)

    def __str__(self) -> str:
        return "\n".join(_shown(line) for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.severity}[{self.code}]: {self.message}"
        if self.span is not None:
            yield from _excerpt(self.span, self.label, self.related)
        for note in self.notes:
            yield f"  = {note}"
        if self.hint:
            yield f"  = help: {self.hint}"

    def to_json(self) -> dict[str, object]:
        """The diagnostic as plain data; lines and columns count from 1."""
        data: dict[str, object] = {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "hint": self.hint,
            "notes": list(self.notes),
        }
        if self.span is not None:
            end_line, end_column = self.span.source.position(self.span.end)
            data |= {
                "file": self.span.source.name,
                "line": self.span.line,
                "column": self.span.column,
                "end_line": end_line,
                "end_column": end_column,
            }
        return data


_CONTROL = re.compile(
    r"[^\t\n -~\u00a0-\U0010ffff]|[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
"""Characters that would move a terminal's cursor, change its colours or turn text around."""

_LONGEST_LINE = 2000


def _shown(line: str) -> str:
    """A line that is safe on a terminal: what names and recipes bring along is made visible."""
    short = line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", short)


def _excerpt(span: Span, label: str, related: tuple[Label, ...]) -> Iterator[str]:
    """The marked lines of one file, in order, with carets under the place and dashes elsewhere."""
    marks = [(span, "^", label)]
    marks += [(r.span, "-", r.text) for r in related if r.span.source is span.source]
    marks.sort(key=lambda mark: mark[0].start)
    gutter = len(str(max(mark[0].line for mark in marks)))
    yield f"{' ' * gutter}--> {span}"
    yield f"{' ' * gutter} |"
    for place, char, text in marks:
        line, column = _neighbourhood(place.source.line(place.line), place.column)
        width = max(1, min(place.end - place.start, len(line) - column + 1))
        indent = "".join("\t" if c == "\t" else " " for c in line[: column - 1])
        yield f"{place.line:>{gutter}} | {line}"
        yield f"{' ' * gutter} | {indent}{char * width}{' ' + text if text else ''}"
    for other in related:
        if other.span.source is not span.source:
            yield f"{' ' * gutter} = {other.span}: {other.text}"


_BEFORE, _AFTER = 60, 140
"""Characters of a long line that are shown before and after a place."""


def _neighbourhood(line: str, column: int) -> tuple[str, int]:
    """A line cut down to what is around a column, and the column there."""
    if len(line) <= _BEFORE + _AFTER:
        return line, column
    first = max(0, column - 1 - _BEFORE)
    part = line[first : column - 1 + _AFTER]
    head, tail = ("…" if first else ""), ("…" if first + len(part) < len(line) else "")
    return head + part + tail, column - first + len(head)


class MergecError(Exception):
    """The root of every error that mergec raises on purpose."""

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__("\n\n".join(str(d) for d in self.diagnostics))

    def __reduce__(self) -> tuple[type[MergecError], tuple[tuple[Diagnostic, ...]]]:
        """Pickles whole: an error may come from another process."""
        return type(self), (self.diagnostics,)

    @classmethod
    def of(
        cls,
        code: str,
        message: str,
        *,
        span: Span | None = None,
        hint: str | None = None,
        notes: tuple[str, ...] = (),
    ) -> MergecError:
        """An error of one diagnostic."""
        return cls([Diagnostic(code, message, span, hint=hint, notes=notes)])


class RecipeError(MergecError):
    """The recipe is wrong: its syntax, names, kinds, parameters or what it asks of its models."""


class CheckpointError(MergecError):
    """A checkpoint can't be found, read or trusted."""


class ResourceError(MergecError):
    """The machine can't do what was asked: memory, disk space, permissions."""


class RunError(MergecError):
    """Reading or writing failed while running."""


MOST_PROBLEMS = 500
"""With so many problems a phase ends at once."""


@dataclass
class Diagnostics:
    """Collects every problem of a phase, so that the user sees all of them at once."""

    items: list[Diagnostic] = field(default_factory=list)
    _seen: set[Diagnostic] = field(default_factory=set, repr=False)

    def report(
        self,
        code: str,
        message: str,
        span: Span | None = None,
        *,
        label: str = "",
        hint: str | None = None,
        notes: tuple[str, ...] = (),
        related: tuple[Label, ...] = (),
    ) -> None:
        diagnostic = Diagnostic(code, message, span, label, hint, notes, related)
        if diagnostic not in self._seen:
            self._seen.add(diagnostic)
            self.items.append(diagnostic)
            if diagnostic.severity == "error" and len(self.items) >= MOST_PROBLEMS:
                self.raise_errors()  # nobody reads on, and each costs time to explain

    @property
    def errors(self) -> list[Diagnostic]:
        return sorted((d for d in self.items if d.severity == "error"), key=_by_place)

    @property
    def warnings(self) -> list[Diagnostic]:
        return sorted((d for d in self.items if d.severity == "warning"), key=_by_place)

    def raise_errors(self, kind: type[MergecError] = RecipeError) -> None:
        """Raise all errors collected so far as one exception; warnings alone raise nothing."""
        if errors := self.errors:
            raise kind(errors)


def _by_place(diagnostic: Diagnostic) -> tuple[str, int]:
    return diagnostic.sort_key


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt word most likely stands for, if any is near enough."""
    by_lower = {name.lower().replace("-", "_"): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known name, if any is near enough."""
    name = nearest(word, known)
    return f"did you mean `{name}`?" if name else None
