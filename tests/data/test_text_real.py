"""Real files of texts as people bring them: their known counts, and nothing swallowed or torn."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from workbench.data import load, look, prepare
from workbench.data.shipped import prepare_shipped
from workbench.data.text import dates
from workbench.data.text.dataset import TextData
from workbench.data.text.stored import Stored
from workbench.specs.data import DataSpec, TextImport, TextSpec


@pytest.mark.parametrize(
    ("source", "task", "rows", "classes"),
    [
        ("sms-spam/SMSSpamCollection", "classification", {"train": 5_574}, ("ham", "spam")),
        ("sms-spam/spam.csv", "classification", {"train": 5_572}, ("ham", "spam")),
        ("uci-sentiment/imdb_labelled.txt", "classification", {"train": 1_000}, ("0", "1")),
        ("uci-sentiment", "classification", {"train": 3_000}, ("0", "1")),
        ("rt-polarity", "classification", {"train": 10_662}, ("neg", "pos")),
        ("ag-news", "classification", {"train": 7_600}, ("World", "Sports", "Business", "Sci/Tech")),
        ("imdb-tiny/aclImdb_tiny.zip", "classification", {"train": 20, "test": 20}, ("neg", "pos")),
        ("multi30k-en-de", "translation", {"train": 29_000, "validation": 1_014, "test": 2_000}, ()),
        ("tatoeba-fra-eng/fra-eng.zip", "translation", {"train": 142_787}, ()),
    ],
)
def test_a_real_source_has_its_known_counts(
    source: str, task: str, rows: dict[str, int], classes: tuple[str, ...], shared_data: Path, tmp_path: Path
) -> None:
    prepared = prepare(shared_data / source, tmp_path / "out")
    assert (prepared.schema.kind, prepared.schema.task) == ("text", task)
    assert (dict(prepared.rows), prepared.schema.classes) == (rows, classes)


def test_each_class_of_a_file_of_lines_has_all_of_its_lines(shared_data: Path, tmp_path: Path) -> None:
    prepare(shared_data / "rt-polarity", tmp_path / "out")
    assert np.bincount(Stored(tmp_path / "out").labels).tolist() == [5_331, 5_331]


def test_the_labels_of_a_headerless_table_with_two_columns_of_text_are_told(
    shared_data: Path, tmp_path: Path
) -> None:
    found = look(shared_data / "ag-news")
    assert found["columns"] == {"text": "column 2 + column 3", "label": "column 1"}
    asked = TextImport(text_columns=("2",), label_column="column 1")
    prepared = prepare(shared_data / "ag-news" / "test.csv", tmp_path / "out", texts=asked)
    assert prepared.schema.classes == ("1", "2", "3", "4")
    assert Stored(tmp_path / "out").text(0) == "Fears for T N pension after talks"


def test_a_plain_text_is_kept_to_the_letter(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "tiny-shakespeare" / "input.txt"
    prepare(source, tmp_path / "out")
    stored = Stored(tmp_path / "out")
    assert "".join(stored.texts(np.arange(len(stored)))) == source.read_text()


def test_the_direction_of_a_translation_can_be_chosen(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for language in ("de", "en"):
        shutil.copy(shared_data / "multi30k-en-de" / f"val.{language}.gz", source)
    prepare(source, tmp_path / "there")
    prepare(source, tmp_path / "back", texts=TextImport(text_columns=("en",), target_column="de"))
    there, back = Stored(tmp_path / "there"), Stored(tmp_path / "back")
    assert (there.text(0), there.text(0, "target")) == (back.text(0, "target"), back.text(0))
    assert there.text(0).startswith("Eine Gruppe von Männern")


def test_the_shipped_spam_is_the_one_that_is_imported(shared_data: Path, tmp_path: Path) -> None:
    shipped = prepare_shipped("sms-spam", tmp_path / "shipped")
    assert (
        shipped.fingerprint
        == prepare(shared_data / "sms-spam" / "SMSSpamCollection", tmp_path / "out").fingerprint
    )


def test_no_date_is_written_twice_and_those_held_out_are_new(tmp_path: Path) -> None:
    prepare_shipped("iso-dates", tmp_path / "out")
    spec = DataSpec(name="iso-dates", text=TextSpec(tokenizer="character", length=72))
    data = load(tmp_path / "out", spec)
    assert isinstance(data, TextData)
    assert data.target_tokenizer is not None
    parts = [
        {part.target_text(i) for i in range(len(part))} for part in (data.train, data.validation, data.test)
    ]
    assert [len(part) for part in parts] == [16_000, 2_000, 2_000]
    assert len(set.union(*parts)) == dates.N
    assert data.train.lengths.max() < 72  # none is cut off


@pytest.mark.parametrize("form", range(dates.FORMS))
def test_every_way_of_writing_a_date_can_be_read_without_doubt(form: int) -> None:
    written = {dates.written(dates._FIRST + dates.timedelta(days=day), form) for day in range(dates._DAYS)}
    assert len(written) == dates._DAYS
