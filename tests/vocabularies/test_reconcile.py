"""Vocabularies reconciled: which tokens, which ids, whose rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from mergec.checkpoints.vocabularies.reconcile import (
    MEAN,
    PADDING,
    ZERO,
    Reconciled,
    TokenRow,
    differing_ids,
    reconcile,
    without,
)
from mergec.checkpoints.vocabularies.tokenizer_files import tokenizer_files
from mergec.checkpoints.vocabularies.vocabulary import Vocabulary, read_vocabulary
from mergec.errors import CheckpointError
from support.tokenizers import write_tokenizer

PLAIN = ["<unk>", "<s>", "</s>", "a", "b", "c"]


def vocabulary(
    folder: Path, tokens: Sequence[str] = PLAIN, added: Sequence[str] = ()
) -> Vocabulary:
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, list(tokens), added)
    found = read(folder)
    assert found is not None
    return found


def read(folder: Path) -> Vocabulary | None:
    def content(name: str) -> bytes | None:
        path = folder / name
        return path.read_bytes() if path.is_file() else None

    return read_vocabulary(content, str(folder))


def rows(found: Reconciled, source: int) -> dict[str, tuple[int, int]]:
    """Who gives each token's row to a source, and which row."""
    who, row = found.picks[source].who.tolist(), found.picks[source].row.tolist()
    return {token: (who[n], row[n]) for token, n in found.vocabulary.tokens.items()}


def test_a_union_keeps_the_bases_ids_and_adds_plain_tokens_then_added_ones(tmp_path: Path) -> None:
    base = vocabulary(tmp_path / "base")
    first = vocabulary(tmp_path / "first", ["<unk>", "<s>", "</s>", "c", "e", "d"], ["<x>"])
    second = vocabulary(tmp_path / "second", [*PLAIN, "f"], ["<y>", "<x>"])
    found = reconcile([base, first, second], [6, 7, 9], like=None)
    assert list(found.vocabulary.tokens) == [*PLAIN, "e", "d", "f", "<x>", "<y>"]
    assert found.rows == 11
    assert found.counts.added == 5 and found.counts.shared == 4


def test_a_row_comes_from_its_sole_owner_the_base_or_the_mean_of_owners(tmp_path: Path) -> None:
    base = vocabulary(tmp_path / "base", PLAIN[:5])
    first = vocabulary(tmp_path / "first", PLAIN, ["<x>"])
    second = vocabulary(tmp_path / "second", ["<unk>", "<s>", "</s>", "b", "c"], ["<x>", "<y>"])
    found = reconcile([base, first, second], [5, 7, 7], like=None)
    assert rows(found, 0) == {
        "<unk>": (0, 0),
        "<s>": (0, 1),
        "</s>": (0, 2),
        "a": (0, 3),
        "b": (0, 4),
        "c": (MEAN, 0),  # of the first and the second
        "<x>": (MEAN, 0),
        "<y>": (2, 6),
    }
    assert rows(found, 2)["a"] == (0, 3)  # the base's, though the first has it too
    assert rows(found, 2)["c"] == (2, 4)
    assert found.counts.averaged == 2 and found.counts.donated == {0: 1, 2: 1}


def test_without_a_base_the_owners_are_averaged(tmp_path: Path) -> None:
    several = [vocabulary(tmp_path / "a"), vocabulary(tmp_path / "b")]
    third = vocabulary(tmp_path / "c", PLAIN[:5])
    given = reconcile([*several, third], [6, 6, 5], like=None)
    averaged = reconcile([*several, third], [6, 6, 5], like=None, gives_rows=False)
    assert rows(given, 2)["c"] == (0, 5)
    assert rows(averaged, 2)["c"] == (MEAN, 0)


def test_a_forced_token_has_the_same_row_everywhere(tmp_path: Path) -> None:
    both = [vocabulary(tmp_path / "a"), vocabulary(tmp_path / "b", PLAIN[::-1])]
    asked = {"a": TokenRow(1, 2, force=True), "<pad>": TokenRow(None), "b": TokenRow(1, 1)}
    found = reconcile(both, [6, 6], like=0, tokens=asked)
    assert rows(found, 0)["a"] == rows(found, 1)["a"] == (1, 2)
    assert rows(found, 0)["<pad>"] == (ZERO, 0)
    assert rows(found, 0)["b"] == (0, 4)  # it has its own: only those that lack it are given one
    assert found.vocabulary.tokens["<pad>"] == 6 and found.lacking == ()


def test_padding_goes_up_to_a_multiple(tmp_path: Path) -> None:
    one = vocabulary(tmp_path / "one")
    found = reconcile([one], [6], like=0, pad_to=4)
    assert found.rows == 8 and found.counts.padded == 2
    assert found.picks[0].who.tolist() == [0] * 6 + [PADDING] * 2
    assert reconcile([one], [6], like=0, pad_to=3).rows == 6


def test_tokens_past_the_embedding_are_dropped_with_their_merges(tmp_path: Path) -> None:
    base = vocabulary(tmp_path / "base", PLAIN, ["<unused>"])
    assert "<unused>" not in reconcile([base], [6], like=None).vocabulary.tokens
    content = json.loads((tmp_path / "base" / "tokenizer.json").read_text())
    content["model"]["merges"] = [["a", "b"], ["b", "c"], "a c", "a b"]
    (tmp_path / "base" / "tokenizer.json").write_text(json.dumps(content))
    again = read(tmp_path / "base")
    assert again is not None
    short = without(again, 5)
    assert "c" not in short.tokens and "c" not in short.content["model"]["vocab"]
    assert short.content["model"]["merges"] == [["a", "b"], "a b"]
    (tmp_path / "base" / "vocab.json").write_text("{}")
    assert "vocab.json" not in tokenizer_files(short)
    assert "vocab.json" in tokenizer_files(again)


def test_a_token_that_nobody_has_a_row_for_is_told(tmp_path: Path) -> None:
    sources = [vocabulary(tmp_path / "a"), vocabulary(tmp_path / "b")]
    other = vocabulary(tmp_path / "other", [*PLAIN, "z"])
    assert reconcile(sources, [6, 6], like=other).lacking == ("z",)
    assert reconcile([*sources, other], [6, 6, 7], like=2).lacking == ()


def test_a_tokenizer_that_stays_leaves_embeddings_alone(tmp_path: Path) -> None:
    same = [vocabulary(tmp_path / "a"), vocabulary(tmp_path / "b")]
    found = reconcile(same, [6, 8], like=None)
    assert found.picks[0].is_plain(0, 6)
    assert not found.picks[1].is_plain(1, 8)  # two rows that no token has go


def test_the_tokenizer_that_is_written_has_the_ids_that_were_planned(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    base = vocabulary(tmp_path / "base")
    other = vocabulary(tmp_path / "other", [*PLAIN[:3], "d", "e"], ["<x>"])
    found = reconcile([base, other], [6, 6], like=None).vocabulary
    files = tokenizer_files(found)
    loaded = Tokenizer.from_str(files["tokenizer.json"].decode())
    assert loaded.get_vocab() == dict(found.tokens)
    assert loaded.decode(loaded.encode("<x>").ids, skip_special_tokens=False) == "<x>"
    assert loaded.encode("<x>").ids == [found.tokens["<x>"]]


def test_ids_that_differ_are_counted(tmp_path: Path) -> None:
    one = vocabulary(tmp_path / "one")
    swapped = vocabulary(tmp_path / "two", [*PLAIN[:4], "c", "b"], ["<x>"])
    assert differing_ids(one, one) == 0
    assert differing_ids(one, swapped) == 3


def test_a_unigram_tokenizer_is_read(tmp_path: Path) -> None:
    content = {"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.5]]}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    found = read(tmp_path)
    assert found is not None and dict(found.tokens) == {"<unk>": 0, "a": 1}
    assert without(found, 1).content["model"]["vocab"] == [["<unk>", 0.0]]


def test_special_tokens_that_only_the_config_names_are_added(tmp_path: Path) -> None:
    vocabulary(tmp_path)
    settings = {
        "eos_token": {"content": "<end>"},
        "added_tokens_decoder": {"6": {"content": "<more>", "special": True}},
        "additional_special_tokens": ["<more>", "<last>"],
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    found = read(tmp_path)
    assert found is not None
    assert list(found.tokens)[6:] == ["<more>", "<end>", "<last>"]
    assert found.special == {"eos_token": "<end>"}
    decoder = json.loads(tokenizer_files(found)["tokenizer_config.json"])["added_tokens_decoder"]
    assert decoder["7"]["content"] == "<end>" and decoder["7"]["special"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tokenizer.json": "{"}, "not valid JSON"),
        ({"tokenizer.json": "[]"}, "doesn't hold a JSON object"),
        ({"tokenizer.json": "{}"}, "has no `model` with a `vocab`"),
        ({"tokenizer.json": '{"model": {"vocab": {}}}'}, "has no tokens"),
        ({"tokenizer.json": '{"model": {"vocab": {"a": "0"}}}'}, "isn't a whole number"),
        ({"tokenizer.json": '{"model": {"vocab": {"a": -1}}}'}, "isn't a whole number"),
        ({"tokenizer.json": '{"model": {"vocab": {"a": 0, "b": 0}}}'}, "two tokens of one id"),
        ({"tokenizer.json": '{"model": {"vocab": [["a"]]}}'}, "a text and a score"),
        ({"tokenizer.json": '{"model": {"vocab": {"a": 0}}, "added_tokens": [1]}'}, "an object"),
        ({"tokenizer.json": '{"model": {"vocab": {"a": 0}}, "added_tokens": [{}]}'}, "`content`"),
        ({"tokenizer.model": "x"}, "has its tokenizer in tokenizer.model"),
    ],
)
def test_malformed_tokenizers_are_refused(
    files: dict[str, str], words: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0403" and words in problem.message


def test_a_folder_without_a_tokenizer_has_none(tmp_path: Path) -> None:
    assert read(tmp_path) is None
