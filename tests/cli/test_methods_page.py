"""`mergec methods NAME`: what a recipe must give."""

from __future__ import annotations

import json


def test_a_column_of_models_must_be_given(invoke):
    assert "must be given; may lack tensors" in invoke("methods", "regmean").stdout
    (method,) = json.loads(invoke("methods", "regmean", "--json").stdout)["methods"]
    assert [p["required"] for p in method["parameters"]] == [True, False]
