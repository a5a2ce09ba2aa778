"""An error code's entry: what it says, why it comes, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Code:
    """One error or warning.

    title: what is wrong, in one line. cause: why it is refused. cure: what to do. wrong, right: a
    recipe that is refused with this code, and one that isn't; none where no recipe alone is wrong.
    """

    code: str
    title: str
    cause: str
    cure: str
    wrong: str = ""
    right: str = ""
    language: Literal["merge", "yaml"] = "merge"

    @property
    def is_warning(self) -> bool:
        return self.code.startswith("W")

    def markdown(self) -> str:
        """The entry as a page of Markdown, which `mergec explain` prints."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"## {self.code}: {self.title}"
        yield ""
        yield f"{self.cause} {self.cure}"
        for heading, example in (("Wrong", self.wrong), ("Right", self.right)):
            if example:
                yield ""
                yield f"{heading}:"
                yield ""
                yield f"```{self.language}"
                yield example.strip("\n")
                yield "```"
