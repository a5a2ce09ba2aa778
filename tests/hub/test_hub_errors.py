"""What the Hub refuses is said for all models at once; tokens stay where they belong."""

from __future__ import annotations

from pathlib import Path

import mergec
import pytest
from mergec.grammar.diagnostics import MergecError
from support.hub_server import HubServer

LINEAR = 'save linear {{ "{}" weight=1, "org/a" weight=1 }} to "{}"'


def problems(place: Path, *references: str, **options: bool) -> dict[str, str]:
    rows = ", ".join(f'"{reference}" weight=1' for reference in references)
    text = f'save linear {{ {rows} }} to "{place / "out"}" {{}}'
    with pytest.raises(MergecError) as caught:
        mergec.compile(text, **options)  # type: ignore[arg-type]
    assert all(d.span is not None for d in caught.value.diagnostics)
    return {d.code: f"{d.message} | {d.hint}" for d in caught.value.diagnostics}


def test_all_models_are_told_of_at_once(place: Path, hub: HubServer) -> None:
    hub.repositories["org/b"].gated = True
    hub.put("org/secret", hub.repositories["org/a"].files, private=True, token="t")
    found = problems(place, "org/a@v9", "org/b", "org/secret", "org/none")
    assert set(found) == {"E0630", "E0631", "E0635"}
    assert "org/b` is gated" in found["E0631"] and f"{hub.endpoint}/org/b" in found["E0631"]
    assert "no revision `v9`" in found["E0635"]
    assert "HF_TOKEN" in found["E0630"]


def test_a_misspelt_name_has_a_hint(place: Path, hub: HubServer) -> None:
    mergec.run(mergec.compile(f'save "org/base" to "{place / "out"}" {{}}'))
    assert "org/base" in problems(place, "org/bsae")["E0630"]


def test_no_network(place: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "check the network" in problems(place, "org/a")["E0632"]


def test_offline(place: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "is not on this machine" in problems(place, "org/a")["E0601"]
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert "is not on this machine" in problems(place, "org/a", offline=True)["E0601"]
    assert not hub.requests


def test_offline_a_plan_can_be_made_but_not_run(place: Path, hub: HubServer) -> None:
    text = f'save "org/a" to "{place / "out"}" {{}}'
    mergec.compile(text)
    with pytest.raises(MergecError, match="E0633"):
        mergec.run(mergec.compile(text, offline=True))


def test_a_private_model_needs_its_token(
    place: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = hub.repositories["org/a"]
    repository.private = repository.gated = True
    repository.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    mergec.run(mergec.compile(f'save "org/a" to "{place / "out"}" {{}}', stream=True))
    assert (place / "out" / "model.safetensors").exists()


def test_the_token_goes_to_no_other_host(
    place: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    for stream in (True, False):
        mergec.run(mergec.compile(f'save "org/a" to "{place / "out"}" {{}}', stream=stream))
    elsewhere = [r for r in hub.requests if r.headers["host"].startswith("localhost")]
    here = [r for r in hub.requests if r.headers["host"].startswith("127.0.0.1")]
    assert elsewhere and here
    assert not any("authorization" in request.headers for request in elsewhere)
    assert all("authorization" in request.headers for request in here)


@pytest.mark.parametrize("redirect", ["file:///etc", "ftp://127.0.0.1/x"])
def test_a_redirect_to_something_else_is_not_followed(
    place: Path, hub: HubServer, redirect: str
) -> None:
    hub.redirect = redirect
    assert "isn't followed" in problems(place, "org/a")["E0605"]


def test_redirects_that_never_end(place: Path, hub: HubServer) -> None:
    hub.redirect = f"{hub.endpoint}/org/a/resolve/main/model-00001-of-00003.safetensors?x="
    assert "again and again" in problems(place, "org/a")["E0605"]
