"""What is accepted and has no effect is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mergec.compiler.binding.bound import Bound

FILES = {"/recipes/other.merge": 'set seed = 3\nlet x = "a"'}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('let x = "a" keep\nsave x to "./o"', "/recipes/recipe.merge:1:1", "`keep` of `x`"),
        (
            'set seed = 4\nimport "other.merge" as o\nsave o.x to "./o"',
            "/recipes/other.merge:1:1",
            "only those of the importing recipe",
        ),
    ],
)
def test_what_has_no_effect(
    bind_text: Callable[..., Bound], text: str, place: str, words: str
) -> None:
    (warning,) = bind_text(text, files=FILES).warnings
    assert warning.code == "W0202"
    assert str(warning.span) == place
    assert words in warning.message
