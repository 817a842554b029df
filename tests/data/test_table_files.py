"""Files of tables: packed, Parquet, workbooks, lines of JSON, several of one; what is no table is refused."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.table_files import read, rows, workbook
from workbench.data.report import Report
from workbench.data.table.reading import open_path
from workbench.specs.errors import DataError


@pytest.mark.parametrize("name", ["t.csv.gz", "t.zip"])
def test_packed_tables_are_opened(tmp_path: Path, name: str) -> None:
    text = ("a,b\n" + rows(30, "{i}", "w{i}")).encode()
    if name.endswith("gz"):
        data = gzip.compress(text)
    else:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            file.writestr("inner.csv", text)
        data = out.getvalue()
    frame, _, _ = read(tmp_path, data, name)
    assert frame.shape == (30, 2)


def test_parquet_keeps_its_kinds(tmp_path: Path) -> None:
    made = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], dtype="Int64"), "real": [0.5, np.nan, 2.0],
            "yes": [True, False, True],
            "when": pd.to_datetime(["2020-01-01", "2020-01-02", None]), "word": ["a", None, "b"],
            "kind": pd.Categorical(["x", "y", "x"]), "list": [[1, 2], [3], []],
        }
    )  # fmt: skip
    out = io.BytesIO()
    made.to_parquet(out)
    frame, columns, _ = read(tmp_path, out.getvalue(), "t.parquet")
    kinds = [columns[name].kind for name in made]
    assert kinds == ["number", "number", "word", "moment", "word", "word", "word"]
    assert frame["whole"].tolist()[2] == 3.0
    assert np.isnan(frame["whole"][1])
    assert frame["yes"].tolist() == ["true", "false", "true"]


def test_a_workbook_is_read_by_its_first_sheet_with_rows(tmp_path: Path) -> None:
    data = workbook(
        {
            "cover": [["A title"]],
            "data": [
                ["when", "price", "kind"],
                *[[pd.Timestamp(2020, 1, i + 1), i * 1.5, "ab"[i % 2]] for i in range(20)],
            ],
            "notes": [["x"], ["y"]],
        }
    )  # fmt: skip
    frame, columns, report = read(tmp_path, data, "book.xlsx")
    assert [columns[n].kind for n in ("when", "price", "kind")] == ["moment", "number", "word"]
    assert frame["price"].tolist() == [i * 1.5 for i in range(20)]
    assert "sheet `data` is read" in report


def test_a_sheet_may_be_named(tmp_path: Path) -> None:
    data = workbook({"one": [["a"], [1], [2]], "two": [["b"], [3], [4]]})
    assert list(read(tmp_path, data, "book.xlsx", sheet="two")[0]) == ["b"]
    with pytest.raises(DataError, match="Did you mean `two`"):
        read(tmp_path, data, "book.xlsx", sheet="twoo")


def test_lines_of_json_are_rows(tmp_path: Path) -> None:
    text = "".join(f'{{"a": {i}, "b": "w", "c": {{"d": {i}.5}}}}\n' for i in range(30))
    frame, _, _ = read(tmp_path, text, "t.jsonl")
    assert frame["c.d"].tolist() == [i + 0.5 for i in range(30)]


def test_files_of_one_table_are_joined_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.csv").write_text("a,b,y\n" + rows(30, "{i}", "w", "1"))
    (tmp_path / "set" / "test.csv").write_text("b,a\n" + rows(10, "w", "{i}"))
    report = Report()
    with open_path(tmp_path / "set", report=report) as table:
        frame = table.frame()
        assert [(f.path, f.split) for f in table.files] == [("train.csv", 0), ("test.csv", 2)]
    assert frame["a"].tolist() == [*range(30), *range(10)]
    assert frame["y"].isna().sum() == 10


def test_another_table_beside_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,y\n" + rows(30, "{i}", "w", "1"))
    (tmp_path / "b.csv").write_text("k,l\n" + rows(3, "{i}", "w"))
    report = Report()
    with open_path(tmp_path, report=report) as table:
        assert len(table) == 30
    assert any(row["action"] == "refused" and row["file"] == "b.csv" for row in report.rows())


@pytest.mark.parametrize(
    ("content", "name", "fact"),
    [
        ("a,b\n", "t.csv", "none below its header"), (b"PK\x03\x04 rest", "t.xlsx", "zip file"),
        (bytes((i * 97 + 13) % 256 for i in range(4000)), "t.csv", "begins with"),
        ("a,b\n1,2\n" * 20, "t.parquet", "no Parquet file"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_with_a_reason(
    tmp_path: Path, content: bytes | str, name: str, fact: str
) -> None:
    with pytest.raises(DataError, match=fact):
        read(tmp_path, content, name)


def test_a_long_table_is_read_in_pieces(tmp_path: Path) -> None:
    text = "a,b\n" + rows(25_000, "{i}", "w") + "x,w\n"
    (tmp_path / "t.csv").write_text(text)
    with open_path(tmp_path / "t.csv") as table:
        assert [len(piece) for piece in table] == [10_000, 10_000, 5_001]
        assert table.columns[0].kind == "number"
        assert table.columns[0].missing == 1
