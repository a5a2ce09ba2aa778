"""The licence of a merge follows from its parents'."""

from __future__ import annotations

import pytest
from mergec.publishing.licences import merged_licence


@pytest.mark.parametrize(
    ("known", "name", "problem"),
    [
        (["mit", "mit"], "mit", None),
        (["mit", "apache-2.0", "cc0-1.0"], "apache-2.0", None),
        (["apache-2.0", "llama3.1"], "llama3.1", None),
        (["Apache-2.0", "LLAMA3.1"], "llama3.1", None),
        (["lgpl-3.0", "agpl-3.0", "mit"], "agpl-3.0", None),
        (["cc-by-4.0", "cc-by-nc-4.0"], "cc-by-nc-4.0", None),
        (["cc-by-sa-4.0", "cc-by-nc-4.0"], "other", "can't be combined"),
        (["gemma", "llama2"], "other", "can't be combined"),
        (["cc-by-nd-4.0", "mit"], "other", "no derivatives"),
        (["mit", None], "mit", None),
        ([None, None], None, None),
        ([], None, None),
    ],
)
def test_licence(known: list[str | None], name: str | None, problem: str | None) -> None:
    found = merged_licence({f"org/{number}": one for number, one in enumerate(known)})
    assert found.name == name
    assert (problem or "") in (found.problem or "")
    assert (found.problem is None) == (problem is None)
