"""Tables of texts: what is written by CSV's rules is read back, whatever is in the cells."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.made import folder
from workbench.data import Limits, prepare
from workbench.data.report import Report
from workbench.data.sources import Member
from workbench.data.text.arranged import arranged
from workbench.data.text.columns import guess
from workbench.data.text.opened import lines, survey
from workbench.data.text.reading import cut
from workbench.data.text.records import Dialect, records, understood
from workbench.data.text.sniffed import Sniffed
from workbench.data.text.stored import Stored
from workbench.specs.data import TextImport
from workbench.specs.errors import DataError

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=30)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=12), st.sampled_from([",", "\t", ";", "|"]))
def test_what_the_csv_module_writes_is_read_back(rows: list[tuple[str, ...]], mark: str) -> None:
    """But for blanks around a cell, and lines that would each be a whole record by themselves."""
    out = io.StringIO()
    csv.writer(out, delimiter=mark, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    if any(mark in cell and "\n" in cell for row in rows for cell in row):
        return
    found = [record.cells for record in records(out.getvalue().split("\n"), Dialect(mark, True, 3))]
    assert found == [list(row) for row in rows]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_characters_are_parted_into_records_and_none_is_lost_from_quoteless_ones(text: str) -> None:
    for quoted in (True, False):
        found = list(records(text.split("\n"), Dialect(",", quoted, 2)))
        if not quoted or '"' not in text:
            assert [",".join(r.cells) for r in found] == [line for line in text.split("\n") if line.strip()]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_lines(blob: bytes) -> None:
    found = survey(io.BytesIO(blob))
    read = list(lines(io.BytesIO(blob), found, 1_000))
    assert "\n" not in "".join(read)
    assert "\0" not in "".join(read)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=50), max_size=8), st.integers(5, 40))
def test_a_text_in_pieces_is_the_text(texts: list[str], size: int) -> None:
    pieces = list(cut(iter(texts), size))
    whole = "".join(texts)
    assert "".join(pieces) == whole + ("" if whole.endswith("\n") or not whole else "\n")
    assert all(len(piece) <= size + 1 for piece in pieces)


@pytest.mark.parametrize(
    ("names", "task", "meaning"),
    [
        (["text", "label"], "classification", {"text": "text", "label": "label"}),
        (["id", "tweet", "sentiment"], "classification", {"text": "tweet", "label": "sentiment"}),
        (
            ["premise", "hypothesis", "label"],
            "classification",
            {"text": "premise + hypothesis", "label": "label"},
        ),
        (["en", "de"], "translation", {"text": "en", "target": "de"}),
        (
            ["translation.en", "translation.fr"],
            "translation",
            {"text": "translation.en", "target": "translation.fr"},
        ),
        (["source", "target", "score"], "translation", {"text": "source", "target": "target"}),
        (["url", "content"], "language_model", {"text": "content"}),
    ],
)
def test_columns_are_known_by_their_names(names: list[str], task: str, meaning: dict[str, str]) -> None:
    made = {
        "label": lambda i: "ab"[i % 2], "sentiment": lambda i: str(i % 3), "id": str,
        "score": lambda i: f"{i / 7}", "url": lambda i: f"http://x.y/{i}",
    }  # fmt: skip
    rows = [[made.get(n, lambda i: f"some words of number {i}")(i) for n in names] for i in range(40)]
    found = guess(rows, names, TextImport(), "t")
    assert (found.task, found.meaning) == (task, meaning)


def test_a_table_in_either_order_without_a_header_is_understood() -> None:
    rows = [[f"a sentence of {i} words", "yn"[i % 2]] for i in range(40)]
    assert guess(rows, None, TextImport(), "t").meaning == {"text": "column 1", "label": "column 2"}
    turned = [row[::-1] for row in rows]
    assert guess(turned, None, TextImport(), "t").meaning == {"text": "column 2", "label": "column 1"}


@pytest.mark.parametrize(
    "sample", [["one line alone"], ["prose, with a comma", "and none here", "nor here at all"], []]
)
def test_prose_is_no_table(sample: list[str]) -> None:
    assert understood(sample, ("\t",)) is None


def test_columns_are_not_guessed_from_a_row_or_two() -> None:
    with pytest.raises(DataError, match="guessed from 3 rows or more"):
        guess([["Go.", "Va !"], ["Run!", "Cours !"]], None, TextImport(), "t")
    asked = TextImport(text_columns=("1",), target_column="2")
    assert guess([["Go.", "Va !"]], None, asked, "t").task == "translation"


@pytest.mark.parametrize(
    ("paths", "form", "names"),
    [
        (["train/pos.txt", "train/neg.txt", "test/pos.txt", "test/neg.txt"], "classes", ("neg", "pos")),
        (["reviews_pos.txt", "reviews_neg.txt"], "classes", ("neg", "pos")),
        (["pos/1.txt", "pos/2.txt", "neg/1.txt", "neg/2.txt"], "folders", ("neg", "pos")),
        (["wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"], "lines", ()),
        (["hamlet.txt", "macbeth.txt"], "lines", ()),
        (["europarl-v7.de-en.de", "europarl-v7.de-en.en"], "pairs", ("de", "en")),
        (["train.src", "train.tgt", "dev.src", "dev.tgt"], "pairs", ("src", "tgt")),
        (["en/a.txt", "en/b.txt", "de/a.txt", "de/b.txt"], "pairs", ("de", "en")),
    ],
)
def test_several_files_are_known_by_how_they_are_called(
    paths: list[str], form: str, names: tuple[str, ...]
) -> None:
    files = [Sniffed(Member(path, 100, path), "lines", path, b"") for path in paths]
    found = arranged(files, TextImport(), "x", Limits(), Report())
    assert (found.form, found.names) == (form, names)
    assert found.has_splits == any(word in paths[-1] for word in ("test", "dev"))


def test_tables_of_each_split_become_its_splits(tmp_path: Path) -> None:
    rows = "text,label\n" + "".join(f"some words {i},{'ab'[i % 2]}\n" for i in range(10))
    source = folder(tmp_path / "in", {f"{name}.csv": rows.encode() for name in ("train", "valid", "test")})
    assert dict(prepare(source, tmp_path / "out").rows) == {"train": 10, "validation": 10, "test": 10}


def test_a_table_of_pairs_leaves_its_extra_columns_out(tmp_path: Path) -> None:
    rows = "".join(f"Go {i}.\tVa {i} !\tCC-BY 2.0 Attribution: tatoeba.org #{i} (x)\n" for i in range(30))
    prepared = prepare(
        folder(tmp_path / "in", {"fra.txt": rows.encode(), "_about.txt": b"about it"}), tmp_path / "out"
    )
    assert (prepared.schema.task, dict(prepared.rows)) == ("translation", {"train": 30})
    assert Stored(tmp_path / "out").text(3, "target") == "Va 3 !"
