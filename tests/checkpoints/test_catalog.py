"""References in recipes: where they are looked up, and what is said when they aren't there."""

from __future__ import annotations

from pathlib import Path

import pytest
from mergec.checkpoints.catalog import Catalog
from mergec.grammar.diagnostics import CheckpointError, Diagnostic, SourceText, Span
from support.checkpoints import write_raw

SPAN = Span(SourceText("r.merge", 'save "a" to "./b"'), 5, 8)
COMMIT = "a09a35458c702b33eeacc393d103063234e8bc28"
OTHER = "b" * 40


def model(folder: Path, name: str = "x") -> Path:
    """A checkpoint of one tensor, whose name tells where it was found."""
    folder.mkdir(parents=True)
    write_raw(
        folder / "model.safetensors",
        {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        4,
    )
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipe's folder, two mirrors and a cache, the only ones there are."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "recipes").mkdir()
    return tmp_path


def catalog(place: Path) -> Catalog:
    return Catalog(place / "recipes", [place / "m1", place / "m2"])


def found(place: Path, reference: str, *, prefer_path: bool = False) -> str:
    [name] = catalog(place).open(reference, SPAN, prefer_path=prefer_path).tensors
    return name


def problem(place: Path, reference: str, *, prefer_path: bool = False) -> Diagnostic:
    with pytest.raises(CheckpointError) as caught:
        catalog(place).open(reference, SPAN, prefer_path=prefer_path)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.span == SPAN
    return diagnostic


def snapshot(place: Path, repo: str, commit: str, *refs: str, name: str = "cached") -> Path:
    repository = place / "cache" / f"models--{repo.replace('/', '--')}"
    for ref in refs:
        (repository / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (repository / "refs" / ref).write_text(commit)
    return model(repository / "snapshots" / commit, name)


@pytest.mark.parametrize(
    ("reference", "folder"),
    [
        ("./m", "recipes/m"),
        ("../m", "m"),
        ("./deep/er/m", "recipes/deep/er/m"),
        ("~/m", "home/m"),
        (".", "recipes/model.safetensors/.."),
        ("./m/model.safetensors", "recipes/m"),
    ],
)
def test_local_paths_are_relative_to_the_recipe(reference: str, folder: str, place: Path) -> None:
    if reference == ".":
        write_raw(
            place / "recipes" / "model.safetensors",
            {"here": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}},
            4,
        )
    else:
        model(place / folder, "here")
    assert found(place, reference) == "here"


def test_absolute_path(place: Path) -> None:
    assert found(place, str(model(place / "m", "here"))) == "here"


def test_drive_letter_is_local(place: Path) -> None:
    assert "there is no model at `C:\\m`" in problem(place, "C:\\m").message


@pytest.mark.parametrize(
    ("folders", "reference", "expected"),
    [
        (["m1/o/n", "m2/o/n"], "o/n", "m1/o/n"),
        (["m2/o/n"], "o/n", "m2/o/n"),
        (["m1/o/n", "m1/o/n@v2"], "o/n@v2", "m1/o/n@v2"),
        (["m1/o/n", "m1/o/n@v2"], "o/n", "m1/o/n"),
        (["m1/o/n"], "o/n@v2", "m1/o/n"),
        (["m1/o/n", "recipes/o/n"], "o/n", "m1/o/n"),
        (["m1/gpt2"], "gpt2", "m1/gpt2"),
    ],
)
def test_mirrors(folders: list[str], reference: str, expected: str, place: Path) -> None:
    for folder in folders:
        model(place / folder, folder)
    snapshot(place, "o/n", COMMIT, "main")
    assert found(place, reference) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("o/n", COMMIT),
        ("o/n@main", COMMIT),
        ("o/n@v2", OTHER),
        ("o/n@refs/pr/1", OTHER),
        (f"o/n@{OTHER}", OTHER),
        ("o/n@a09a354", COMMIT),
    ],
)
def test_cache(reference: str, expected: str, place: Path) -> None:
    snapshot(place, "o/n", COMMIT, "main")
    snapshot(place, "o/n", OTHER, "v2", "refs/pr/1")
    checkpoint = catalog(place).open(reference, SPAN)
    assert checkpoint.revision == expected
    assert Path(checkpoint.place).name == expected


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"])
def test_cache_is_found_as_its_library_does(
    variable: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot(place, "o/n", COMMIT, "main")
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    nested = {
        "HF_HUB_CACHE": "y",
        "HF_HOME": "y/hub",
        "XDG_CACHE_HOME": "y/huggingface/hub",
        "HOME": "y/.cache/huggingface/hub",
    }[variable]
    (place / nested).parent.mkdir(parents=True, exist_ok=True)
    (place / "cache").rename(place / nested)
    monkeypatch.setenv(variable, str(place / "y"))
    assert found(place, "o/n") == "cached"


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["recipes/o/n", "work/o/n", "m1/o/n"], "recipes/o/n"),
        (["work/o/n", "m1/o/n"], "work/o/n"),
        (["m1/o/n"], "m1/o/n"),
    ],
)
def test_yaml_prefers_paths(folders: list[str], expected: str, place: Path) -> None:
    for folder in folders:
        model(place / folder, folder)
    assert found(place, "o/n", prefer_path=True) == expected


def test_yaml_path_is_looked_up_in_the_current_folder_too(place: Path) -> None:
    model(place / "work" / "m", "here")
    assert found(place, "./m", prefer_path=True) == "here"
    assert problem(place, "./m").code == "E0601"


def test_missing_path(place: Path) -> None:
    model(place / "recipes" / "mistral")
    error = problem(place, "./mistrl")
    assert (error.code, error.message) == ("E0601", "there is no model at `./mistrl`")
    assert error.hint == "did you mean `mistral`?"
    assert error.notes == (f"looked for {place / 'recipes' / 'mistrl'}",)


def test_missing_model(place: Path) -> None:
    model(place / "m2" / "mistralai" / "Mistral-7B-v0.1")
    error = problem(place, "mistralai/Mistral-7B-v0.2@main")
    assert error.code == "E0601"
    assert error.message == "model `mistralai/Mistral-7B-v0.2@main` is not on this machine"
    assert error.notes == tuple(
        f"looked for {place / path}"
        for path in (
            "m1/mistralai/Mistral-7B-v0.2@main",
            "m1/mistralai/Mistral-7B-v0.2",
            "m2/mistralai/Mistral-7B-v0.2@main",
            "m2/mistralai/Mistral-7B-v0.2",
            "cache/models--mistralai--Mistral-7B-v0.2",
        )
    )
    assert error.hint == (
        "did you mean `mistralai/Mistral-7B-v0.1`?; "
        "run `hf download mistralai/Mistral-7B-v0.2 --revision main`, "
        "or give `--models DIR` where DIR/mistralai/Mistral-7B-v0.2 is it"
    )


def test_near_names_come_from_the_cache_too(place: Path) -> None:
    snapshot(place, "openai/gpt-oss", COMMIT, "main")
    assert "did you mean `openai/gpt-oss`?" in str(problem(place, "openai/gpt-os").hint)


def test_another_revision_is_cached(place: Path) -> None:
    snapshot(place, "o/n", COMMIT, "main")
    for revision in ("v9", "a09a35", "b" * 40, "x/../../y"):
        error = problem(place, f"o/n@{revision}")
        assert error.code == "E0601"
    assert "another revision" in str(problem(place, "o/n@v9").hint)


def test_a_local_folder_needs_a_dot(place: Path) -> None:
    model(place / "recipes" / "o" / "n")
    assert str(problem(place, "o/n").hint).startswith("for the local path write `./o/n`")


@pytest.mark.parametrize("reference", ["a b", "a/b/c", "a/../b", "o/n@", "o/n@../x", "", "o/.n"])
def test_what_is_neither_a_path_nor_a_model(reference: str, place: Path) -> None:
    error = problem(place, reference)
    assert error.code in ("E0601", "E0602")


def test_incomplete_download_says_how_to_complete_it(place: Path) -> None:
    folder = snapshot(place, "o/n", COMMIT, "main")
    (folder / "model.safetensors").unlink()
    error = problem(place, "o/n")
    assert (error.code, error.hint) == ("E0602", "run `hf download o/n`")


def test_each_checkpoint_is_opened_once(place: Path) -> None:
    model(place / "recipes" / "m")
    (place / "m1" / "o").mkdir(parents=True)
    (place / "m1" / "o" / "n").symlink_to(place / "recipes" / "m")
    known = catalog(place)
    one, again = known.open("./m", SPAN), known.open("./m", SPAN)
    linked = known.open("o/n", SPAN)
    assert one is again
    assert linked.tensors is one.tensors
    assert (one.reference, linked.reference) == ("./m", "o/n")
    assert Path(linked.place) == place / "m1" / "o" / "n"
    assert known.checkpoints == [one, linked]


def test_outputs_that_are_inputs(place: Path) -> None:
    model(place / "recipes" / "m")
    known = catalog(place)
    known.open("./m", SPAN)
    assert known.inputs_within(place / "recipes" / "m") == ["./m"]
    assert known.inputs_within(place / "recipes") == ["./m"]
    assert known.inputs_within(place / "recipes" / "m" / "out") == []
    assert known.inputs_within(place / "recipes" / "m2") == []


@pytest.mark.parametrize("noted", [True, False])
def test_a_mirror_of_another_commit_is_passed_over(noted: bool, place: Path) -> None:
    mirror = model(place / "m1" / "o" / "n", "first")
    model(place / "m2" / "o" / "n", "second")
    if noted:
        note = mirror / ".cache" / "huggingface" / "download" / "model.safetensors.metadata"
        note.parent.mkdir(parents=True)
        note.write_text(f"{COMMIT}\netag\n1.0\n")
    assert found(place, "o/n") == found(place, "o/n@main") == "first"
    assert found(place, f"o/n@{COMMIT[:9]}") == "first"
    assert found(place, f"o/n@{OTHER}") == ("second" if noted else "first")
    checkpoint = catalog(place).open("o/n", SPAN)
    assert checkpoint.revision == (COMMIT if noted else None)
