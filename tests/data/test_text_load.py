"""Texts as a run sees them: cut, tokenized by a tokenizer of the training split alone, and kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.made import folder
from workbench.data import prepare
from workbench.data.kept import KEPT
from workbench.data.shipped import prepare_shipped
from workbench.data.text import kept
from workbench.data.text.dataset import TextData, load, rows_of, shape, whole
from workbench.data.text.stored import Stored
from workbench.data.text.tokenizer import PAD, UNK, UNKNOWN, trained
from workbench.specs.base import Pair, Tokens
from workbench.specs.data import DataSpec, TextSpec
from workbench.specs.errors import DataError

KINDS = ("character", "word", "bpe", "wordpiece")


def texts(**more: object) -> TextSpec:
    return TextSpec.model_validate({"tokenizer": "word", "length": 16, **more})


def table(tmp_path: Path, rows: list[tuple[str, ...]], header: str = "label\ttext") -> Path:
    blob = "\n".join([header, *("\t".join(row) for row in rows)]) + "\n"
    prepare(folder(tmp_path / "in", {"a.tsv": blob.encode()}), tmp_path / "out")
    return tmp_path / "out"


def numbered(tmp_path: Path, n: int = 200) -> Path:
    """Every text has a word of its own that no other has."""
    return table(tmp_path, [("ab"[i % 2], f"the common words and own{i}x of it") for i in range(n)])


@pytest.fixture
def shakespeare(tmp_path: Path) -> Path:
    prepare_shipped("tiny-shakespeare", tmp_path / "set")
    return tmp_path / "set"


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_is_trained_on_the_training_split_alone(kind: str, tmp_path: Path) -> None:
    """The held out texts are changed beyond recognition: the tokenizer stays the same, to the byte."""
    rows = [(["train", "val", "test"][i % 3], "ab"[i % 2], f"words of {i} and own{i}x") for i in range(90)]
    strange = [(s, c, text if s == "train" else "ЖЩ зz qqq " * 9) for s, c, text in rows]
    found = []
    for name, part in (("one", rows), ("two", strange)):
        (tmp_path / name).mkdir()
        place = table(tmp_path / name, part, "split\tlabel\ttext")
        data = load(place, DataSpec(name="x", text=texts(tokenizer=kind)))
        found.append(data.tokenizer.to_json())
    assert found[0] == found[1]
    assert "Ж" not in json.loads(found[1])["tokenizer"]["model"]["vocab"]


def test_words_that_only_held_out_texts_have_are_unknown(tmp_path: Path) -> None:
    data = load(numbered(tmp_path), DataSpec(name="x", text=texts()))
    own = {part: [f"own{i}x" for i in getattr(data, part).index] for part in ("train", "validation", "test")}
    known = set(data.tokenizer.vocabulary)
    assert set(own["train"]) <= known
    assert not known & {*own["validation"], *own["test"]}
    assert all(UNK in data.test.ids.row(i) for i in range(len(data.test)))


def test_texts_are_cut_as_images_are_evenly_and_each_row_once(tmp_path: Path) -> None:
    data = load(numbered(tmp_path), DataSpec(name="x", text=texts()))
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [162, 18, 20]
    assert sorted(np.concatenate([part.index for part in parts]).tolist()) == list(range(200))
    assert all(np.bincount(part.y).tolist() == [len(part) // 2] * 2 for part in parts)


def test_each_fold_validates_on_other_texts_and_trains_another_tokenizer(tmp_path: Path) -> None:
    place = numbered(tmp_path)
    specs = [DataSpec(name="x", text=texts(), folds=3, fold=k) for k in (1, 2, 3)]
    found = [load(place, spec) for spec in specs]
    held = np.concatenate([data.validation.index for data in found])
    assert len(held) == len(set(held.tolist())) == 180
    assert len({data.tokenizer.to_json() for data in found}) == 3


def test_texts_of_one_group_stay_together(tmp_path: Path) -> None:
    rows = [(f"p{i // 8}", "ab"[i // 8 % 2], f"text {i} of somebody or other") for i in range(240)]
    place = table(tmp_path, rows, "person\tlabel\ttext")
    data = load(place, DataSpec(name="x", text=texts(), groups="given"))
    people = [set((part.index // 8).tolist()) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, people)) == len(set.union(*people)) == 30


def test_a_text_to_continue_is_cut_by_position(shakespeare: Path) -> None:
    spec = DataSpec(name="x", text=texts(tokenizer="character", length=64))
    data = load(shakespeare, spec)
    text = "".join(
        data.tokenizer.decode(getattr(data, part).ids.values) for part in ("train", "validation", "test")
    )
    stored = Stored(shakespeare)
    assert text == "".join(stored.texts(np.arange(len(stored))))
    sizes = np.array([len(part.ids.values) for part in (data.train, data.validation, data.test)])
    assert sizes / len(text) == pytest.approx([0.81, 0.09, 0.1], abs=0.003)


def test_a_fold_of_a_text_to_continue_is_one_stretch_of_it(shakespeare: Path) -> None:
    spec = DataSpec(name="x", text=texts(tokenizer="character"), test=0.0, folds=4, fold=2)
    data = load(shakespeare, spec)
    held = data.validation.index
    assert (np.diff(held) == 1).all()
    assert len(held) / (len(held) + len(data.train.index)) == pytest.approx(0.25, abs=0.01)


def test_the_splits_of_a_text_to_continue_count_windows(shakespeare: Path) -> None:
    spec = DataSpec(name="x", text=texts(tokenizer="character", length=64))
    rows, data = rows_of(shakespeare, spec), load(shakespeare, spec)
    counted = [(len(part.ids.values) - 1) // 64 for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in rows] == counted
    assert len(np.unique(np.concatenate(rows))) == sum(counted)
    limited = rows_of(shakespeare, spec.model_copy(update={"limit": 50}))
    assert (len(limited.train), len(limited.validation)) == (50, counted[1])


def test_groups_of_a_text_to_continue_are_refused(shakespeare: Path) -> None:
    with pytest.raises(DataError, match="cut by position"):
        rows_of(shakespeare, DataSpec(name="x", groups="prefix"))


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_int32_cut_to_the_length_and_never_empty(kind: str, tmp_path: Path) -> None:
    rows = [("ab"[i % 2], "\u200b" if i % 5 == 0 else "some words " * i) for i in range(1, 60)]
    data = load(table(tmp_path, rows), DataSpec(name="x", text=texts(tokenizer=kind, length=8)))
    for part in (data.train, data.validation, data.test):
        assert part.ids.values.dtype == np.int32
        assert part.ids.offsets.dtype == np.int64
        assert (part.ids.lengths >= 1).all()
        assert (part.ids.lengths == np.clip(part.lengths, 1, 8)).all()
    assert data.shape == Tokens(8, data.tokenizer.size)


def test_a_translation_leaves_room_for_its_end_on_both_sides(tmp_path: Path) -> None:
    prepare_shipped("tatoeba-fra-eng-small", tmp_path / "set")
    data = load(tmp_path / "set", DataSpec(name="x", text=texts(length=5)))
    assert isinstance(data.shape, Pair)
    assert data.target_tokenizer is not None
    assert data.train.target is not None
    assert max(data.train.ids.lengths.max(), data.train.target.lengths.max()) == 4
    assert (
        data.tokenizer.vocabulary[:4]
        == data.target_tokenizer.vocabulary[:4]
        == ["[PAD]", "[UNK]", "[BOS]", "[EOS]"]
    )
    assert data.train.ids.values.min() >= 1
    assert data.train.target_text(0) != data.train.text(0)


def test_the_same_spec_gives_the_same_ids_and_makes_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, spec = numbered(tmp_path), DataSpec(name="x", text=texts(tokenizer="bpe", vocabulary=300))
    first = load(place, spec)
    before = np.array(first.train.ids.values)
    monkeypatch.setattr(kept, "trained", lambda *a: pytest.fail("it was trained again"))
    monkeypatch.setattr(kept, "tokens", lambda *a: pytest.fail("it was tokenized again"))
    again = load(place, spec)
    assert isinstance(again.train.ids.values, np.memmap)
    assert (again.train.ids.values == before).all()
    assert shape(place, spec) == (first.shape, 2)


def test_another_length_needs_no_other_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = numbered(tmp_path)
    load(place, DataSpec(name="x", text=texts()))
    monkeypatch.setattr(kept, "trained", lambda *a: pytest.fail("it was trained again"))
    assert load(place, DataSpec(name="x", text=texts(length=3))).train.ids.lengths.max() == 3


def test_the_ways_of_a_set_that_are_kept_stay_few(tmp_path: Path) -> None:
    place = numbered(tmp_path, 40)
    for k in range(KEPT + 4):
        shape(place, DataSpec(name="x", text=texts(vocabulary=20 + k)))
    assert len(list(place.glob("tokens-*"))) == KEPT


def test_another_set_is_read_with_a_models_own_tokenizer_and_classes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    data = load(numbered(tmp_path / "one"), DataSpec(name="x", text=texts()))
    other = table(
        tmp_path / "two", [("b", "the words of it"), ("a", "nothing common at all"), ("b", "and words")]
    )
    found = whole(other, data, "two")
    assert found.y.tolist() == [1, 0, 1]
    assert data.tokenizer.decode(found.ids.row(0)) == "the words of it"
    assert found.ids.row(1).tolist()[-1] == UNK


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vocabulary", [16, 60, 300, 2_000])
def test_a_vocabulary_is_never_larger_than_asked_for(kind: str, vocabulary: int) -> None:
    lines = [f"line {i}: Füße, naïve 東京 and {'x' * (i % 30)}!" for i in range(300)]
    tokenizer = trained(lines, TextSpec(tokenizer=kind, vocabulary=vocabulary), [PAD, UNKNOWN])  # type: ignore[arg-type]
    assert tokenizer.size == len(tokenizer.vocabulary) <= vocabulary
    assert tokenizer.vocabulary[:2] == [PAD, UNKNOWN]
    assert max(tokenizer.encode(lines[7])) < tokenizer.size


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_bytes_give_any_text_back_and_nothing_in_it_is_taken_for_a_sign(text: str) -> None:
    import unicodedata

    tokenizer = trained(
        ["some words to learn from"], TextSpec(tokenizer="bpe", vocabulary=600), [PAD, UNKNOWN]
    )
    for said in (text, f"[PAD]{text}[UNK][EOS]"):
        ids = tokenizer.encode(said)
        assert 0 not in ids
        assert tokenizer.decode(ids) == unicodedata.normalize("NFC", said)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vocabulary", [40, 400])
def test_two_trainings_on_the_same_texts_give_the_same_tokenizer(kind: str, vocabulary: int) -> None:
    lines = [f"{a}{b} {b}{a}{c} {c}" for a in "abcdefghijk" for b in "lmnopqrstu" for c in "vwxyzäöü"]
    spec = TextSpec.model_validate({"tokenizer": kind, "vocabulary": vocabulary})
    found = {trained(lines, spec, [PAD, UNKNOWN]).to_json() for _ in range(4)}
    assert len(found) == 1


def test_scripts_without_blanks_are_cut_into_characters_and_words_keep_their_apostrophes() -> None:
    tokenizer = trained(["東京は 大きい。 Don't"], TextSpec(tokenizer="word"), [PAD, UNKNOWN])
    assert tokenizer.tokens(tokenizer.encode("東京は Don't")) == ["東", "京", "は", "Don't"]


def test_a_text_to_continue_keeps_its_lines_whatever_its_tokens(shakespeare: Path) -> None:
    for kind in KINDS:
        data: TextData = load(shakespeare, DataSpec(name="x", text=texts(tokenizer=kind)))
        start = data.tokenizer.decode(data.train.ids.values[:60])
        assert start.startswith("First Citizen:\nBefore we")
