"""Tables as people have them: what a cell means is told column by column, and nothing is lost in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.table_files import read, rows
from workbench.data.archives import open_source
from workbench.data.limits import Limits
from workbench.data.report import Report
from workbench.data.table.moments import MomentLook, moments
from workbench.data.table.numbers import Grammar, number
from workbench.data.table.reading import open_table
from workbench.data.text.sniffed import sniff
from workbench.specs.tables import TableColumn, TableReading


@pytest.mark.parametrize(
    ("cell", "decimal", "expected"),
    [
        ("1,234.5", ".", 1234.5), ("1.234,5", ",", 1234.5), ("1,234", ".", 1234.0), ("1,234", ",", 1.234),
        ("1.234.567", ",", 1234567.0), ("1 234 567", ".", 1234567.0), ("1\u202f234,5", ",", 1234.5),
        ("1'200", ".", 1200.0), ("12,34,567", ".", 1234567.0), ("€ 1,200", ".", 1200.0), ("$-3.5", ".", -3.5),
        ("-$3.5", ".", -3.5), ("(1,200)", ".", -1200.0), ("−4", ".", -4.0), ("45%", ".", 45.0),
        ("12 kg", ".", 12.0), ("23.4 km/h", ".", 23.4), ("1e-3", ".", 0.001), (".5", ".", 0.5),
        ("+7", ".", 7.0),
        ("120 m2", ".", 120.0), ("21 °C", ".", 21.0), ("0,5", ",", 0.5), ("1200 €", ".", 1200.0),
    ],
)  # fmt: skip
def test_a_number_is_read_however_it_is_written(cell: str, decimal: str, expected: float) -> None:
    assert number(cell, Grammar(decimal)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "12:30",
        "1.2.3",
        "2020-01-02",
        "12-13",
        "A12",
        "1,2,3",
        "10/12",
        "192.168.1.1",
        "--5",
        "1 2",
        "0,123,456",
    ],
)
def test_what_is_no_number_is_none(cell: str) -> None:
    assert np.isnan(number(cell, Grammar(".")))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2020-01-31", "2020-02-01"], "2020-02-01"), (["31.01.2020", "01.02.2020"], "2020-02-01"),
        (["01/31/2020", "02/01/2020"], "2020-02-01"), (["31/01/2020", "01/02/2020"], "2020-02-01"),
        (["2020-01-31T10:00:00Z", "2020-02-01T03:00:00+03:00"], "2020-02-01"),
        (["31-Jan-2020", "01-Feb-2020"], "2020-02-01"), (["Jan 31, 2020", "Feb 1, 2020"], "2020-02-01"),
        (["2020-01", "2020-02"], "2020-02-01"), (["2019Q4", "2020Q1"], "2020-01-01"),
        (["2020/01/31 23:00", "2020/02/01 00:00"], "2020-02-01"),
        (["31.01.2020 10:15:00", "01.02.2020 00:00:00"], "2020-02-01"),
        (["20200131", "20200201"], "2020-02-01"),
    ],
)  # fmt: skip
def test_a_date_is_read_however_it_is_written(cells: list[str], expected: str) -> None:
    look = MomentLook()
    look.add((cell, 1) for cell in cells)
    way = look.way()
    assert way is not None
    assert moments(cells, way)[-1] == np.datetime64(expected)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_every_usual_sign_parts_cells(tmp_path: Path, mark: str) -> None:
    frame, columns, _ = read(
        tmp_path, mark.join(["a", "b", "c"]) + "\n" + rows(30, "{i}", "w{i}", "{i}.5", mark=mark)
    )
    assert list(columns) == ["a", "b", "c"]
    assert frame["c"].tolist() == [i + 0.5 for i in range(30)]
    assert columns["b"].kind == "word"


def test_a_decimal_comma_does_not_part_cells(tmp_path: Path) -> None:
    frame, _, report = read(tmp_path, "a;b\n" + rows(30, "{i},5", "{i},25", mark=";"))
    assert frame["a"].tolist() == [i + 0.5 for i in range(30)]
    assert "decimal comma" in report


def test_thousands_and_decimals_of_one_file_agree(tmp_path: Path) -> None:
    text = "a;b\n" + "".join(f"1.{i}00;0,{i}5\n" for i in range(1, 10))
    frame, _, _ = read(tmp_path, text)
    assert frame["a"].tolist() == [1000 + 100 * i for i in range(1, 10)]
    assert frame["b"].tolist() == pytest.approx([i / 10 + 0.05 for i in range(1, 10)])


def test_blanks_part_cells_where_nothing_else_does(tmp_path: Path) -> None:
    text = rows(30, "  {i}.5   {i} 7", '   "ford pinto"')
    frame, _, _ = read(tmp_path, text.replace(",", " "), "auto.data")
    assert frame.shape == (30, 4)
    assert frame["column 4"].iloc[0] == "ford pinto"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_every_usual_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    frame, columns, _ = read(tmp_path, ("größe,stadt\n" + rows(30, "{i}", "Köln")).encode(encoding))
    assert list(columns) == ["größe", "stadt"]
    assert set(frame["stadt"]) == {"Köln"}


def test_an_encoding_may_be_named(tmp_path: Path) -> None:
    data = ("値,街\n" + rows(30, "{i}", "東京")).encode("shift_jis")
    frame, _, _ = read(tmp_path, data, encoding="shift_jis")
    assert set(frame["街"]) == {"東京"}


def test_a_table_without_a_header_keeps_its_first_row(tmp_path: Path) -> None:
    frame, columns, _ = read(tmp_path, rows(30, "{i}", "w", "?"))
    assert len(frame) == 30
    assert next(iter(columns)) == "column 1"


def test_words_alone_tell_no_header_where_they_come_again(tmp_path: Path) -> None:
    frame, _, _ = read(tmp_path, "p,x,s\n" * 3 + "e,x,y\n" * 30)
    assert len(frame) == 33


def test_words_above_words_are_a_header(tmp_path: Path) -> None:
    frame, columns, _ = read(tmp_path, "class,cap,odour\n" + "p,x,s\n" * 3 + "e,x,y\n" * 30)
    assert len(frame) == 33
    assert list(columns) == ["class", "cap", "odour"]


def test_a_header_may_be_denied(tmp_path: Path) -> None:
    frame, _, _ = read(tmp_path, "class,cap\n" + "p,x\n" * 30, header=False)
    assert len(frame) == 31


def test_years_may_be_names(tmp_path: Path) -> None:
    _, columns, _ = read(tmp_path, "land,2019,2020\n" + rows(30, "l{i}", "{i}", "{i}.5"))
    assert list(columns) == ["land", "2019", "2020"]


@pytest.mark.parametrize("marker", ["?", "NA", "", " ", "NaN", "null", "-", "N/A", "#N/A", "\\N"])
def test_usual_signs_mean_that_nothing_is_known(tmp_path: Path, marker: str) -> None:
    frame, columns, _ = read(tmp_path, "a,b\n" + rows(30, "{i}", "w") + f"{marker},w\n7,{marker}\n")
    assert columns["a"].kind == "number"
    assert (columns["a"].missing, columns["b"].missing) == (1, 1)
    assert frame["b"].iloc[-1] is None


def test_numbers_far_from_all_others_mean_that_nothing_is_known(tmp_path: Path) -> None:
    _, columns, report = read(tmp_path, "co,t\n" + rows(30, "{i}.5", "{i}") + "-200,5\n" * 4)
    assert columns["co"].sentinels == (-200.0,)
    assert columns["co"].missing == 4
    assert "-200 lies far from all others" in report


@pytest.mark.parametrize(
    ("values", "marker", "words"),
    [
        (range(2, 1480), -200, "-200 is alone below 0, apart from all others and is taken for missing in 4"),
        ([v / 10 for v in range(-19, 446)], -200, "-200 lies far from all others and is taken for missing"),
        ([7e3 * i + 9e4 for i in range(30)], -999, "-999 is alone below 0"),  # prices
        ([0, 1], -999, "-999 lies far from all others"),
        (range(300), 9999, "9999 lies far from all others"),
        (range(-100, 600, 100), -200, "-200 lies below all others and near them and is kept as a value in 4"),
        (range(0, 600, 100), -200, "say so (missing, --missing -200)"),
        ([*range(600), -150], -200, "-200 lies below all others and near them"),
        ([*range(600), *[-1] * 5], -200, "-200 lies below all others and near them"),
        ([*range(600), -99], -200, "-200 lies below all others and near them"),
        ([*range(600), *[-9999] * 3, *[-99] * 2], -200, "-9999 lies far from all others"),
        ([-i * 100 - 50 for i in range(30)], -200, ""),
        ([0], -200, ""),  # what would be left is no other number
        (range(998), 999, ""),
    ],
)
def test_numbers_mean_nothing_where_nothing_like_them_is_there(
    tmp_path: Path, values: list[float], marker: int, words: str
) -> None:
    given = [*values, *[marker] * 4]
    frame, columns, report = read(tmp_path, "v,w\n" + "".join(f"{v},a\n" for v in given))
    gone = "taken for missing in 4" in report or words.startswith(("-999 ", "9999 "))
    assert words in report
    assert (" lies " in report or " alone " in report) == bool(words)
    assert (marker in columns["v"].sentinels) == gone == (marker not in frame["v"].to_numpy())


def test_a_person_says_what_means_nothing(tmp_path: Path) -> None:
    _, columns, _ = read(tmp_path, "a,b\n" + rows(30, "{i}", "?") + "5,w\n", missing=("5",))
    assert columns["a"].missing == 2
    assert columns["b"].missing == 0


def test_units_are_cut_off_and_told(tmp_path: Path) -> None:
    _, columns, report = read(
        tmp_path, "w,p,s\n" + rows(30, "{i} kg", '"€ 1,2{i}0"', "{i}%").replace("1,2", "1,")
    )
    assert columns["w"].kind == columns["s"].kind == "number"
    assert columns["w"].unit == "kg"
    assert "`kg` is cut off" in report


def test_factors_are_multiplied(tmp_path: Path) -> None:
    frame, _, report = read(tmp_path, "size\n" + "1.5M\n201k\n3M\n" * 10)
    assert frame["size"].tolist()[:3] == [1_500_000, 201_000, 3_000_000]
    assert "factors" in report


def test_numbers_of_different_units_stay_words(tmp_path: Path) -> None:
    _, columns, _ = read(tmp_path, "w,x\n" + rows(10, "{i} kg", "1") + rows(10, "{i} lb", "1"))
    assert columns["w"].kind == "word"


def test_codes_keep_their_zeros(tmp_path: Path) -> None:
    frame, columns, report = read(tmp_path, "zip,x\n" + "".join(f"{i * 997:05d},{i}\n" for i in range(50)))
    assert columns["zip"].is_code
    assert frame["zip"].iloc[1] == "00997"
    assert "codes" in report


def test_a_person_says_what_is_numbers_and_what_is_words(tmp_path: Path) -> None:
    frame, _, _ = read(
        tmp_path, "zip,pclass\n" + "02139,1\n10001,3\n" * 10, numeric=("zip",), categorical=("pclass",)
    )
    assert frame["zip"].iloc[0] == 2139.0
    assert frame["pclass"].iloc[1] == "3"


def test_one_odd_word_among_numbers_is_missing(tmp_path: Path) -> None:
    _, columns, report = read(tmp_path, "size,x\n" + rows(60, "{i}", "1") + "Varies with device,1\n" * 9)
    assert columns["size"].kind == "number"
    assert columns["size"].missing == 9
    assert "9 cells that are no number" in report


def test_quoted_cells_hold_signs_and_lines(tmp_path: Path) -> None:
    frame, _, _ = read(tmp_path, 'n,text\n1,"a, ""b""\nc"\n' + rows(20, "{i}", "plain"))
    assert frame["text"].iloc[0] == 'a, "b"\nc'


def test_rows_of_another_width_are_refused_with_their_line(tmp_path: Path) -> None:
    frame, _, report = read(tmp_path, "Report of 2020\n\na,b\n" + rows(20, "{i}", "{i}") + "1,2,3\n")
    assert len(frame) == 20
    assert "t.csv, line 1: refused: it has 1 cells and the others 2" in report
    assert "line 24: refused: it has 3 cells" in report


def test_names_that_come_twice_are_told_apart(tmp_path: Path) -> None:
    _, columns, report = read(tmp_path, "a,a,,b\n" + rows(20, "{i}", "{i}", "{i}", "w"))
    assert list(columns) == ["a", "a_2", "column 3", "b"]
    assert "a second column `a`" in report


MONTHS = [f"{m:02d}/01/{y}" for y in range(2001, 2009) for m in range(1, 13)]
TWO_WAYS = ["03/04/2024", "05/06/2024", "04/02/2024", "2024-05-01", "2024-03-02"]


@pytest.mark.parametrize(
    ("cells", "asked", "second", "told"),
    [
        (["03/04/2024", "25/04/2024"], None, "2024-04-25", "day first: `25/04/2024` can be read so only"),
        (["03/04/2024", "04/25/2024"], None, "2024-04-25", "month first: `04/25/2024` can be read so only"),
        (["03/04/2024", "05/04/2024"], None, "2024-04-05", "repaired: nothing tells whether `03/04/2024`"),
        (["03/04/2024", "05/04/2024"], "month", "2024-05-04", "month first: as asked for"),
        (["03/04/2024", "25/04/2024"], "month", "2024-04-25", "though the month was asked for"),
        (["01/11/2024", "01/12/2024", "02/01/2024", "02/02/2024", "02/03/2024", "02/04/2024"], None,
         "2024-01-12", "month first: its rows are in order so"),
        (MONTHS, None, "2001-02-01", "month first: its moments are evenly apart so"),
        (TWO_WAYS, None, "2024-06-05", "nothing tells whether `03/04/2024` has"),
        (TWO_WAYS, "day", "2024-06-05", "day first: as asked for"),
        (TWO_WAYS, "month", "2024-05-06", "month first: as asked for"),
        ([*TWO_WAYS, "25/04/2024"], "month", "2024-06-05", "though the month was asked for"),
        (["2024-05-01", "03/04/2024"] * 2, "month", "2024-03-04", "month first: as asked"),
        (["01/11/2024", "01/12/2024", "02/01/2024", "02/02/2024", "2024-02-03", "2024-02-04"], None,
         "2024-01-12", "month first: its rows are in order so"),
    ],
)  # fmt: skip
def test_day_and_month_are_told_apart_and_the_report_says_by_what(
    tmp_path: Path, cells: list[str], asked: str | None, second: str, told: str
) -> None:
    text = "when,v\n" + "".join(f"{cell},{i}.5\n" for i, cell in enumerate(cells))
    frame, columns, report = read(tmp_path, text, dates=asked)
    assert str(frame["when"][1].date()) == second
    assert told in report
    assert columns["when"].unsure == ("nothing tells" in told)


@pytest.mark.parametrize("way", ["%m/%d/%Y", "%Y-%m-%d | %m/%d/%Y"])
@pytest.mark.parametrize("more", ["", "2024-05-01,3\n"])
def test_what_a_registered_table_reads_month_first_is_read_so_again(
    tmp_path: Path, way: str, more: str
) -> None:
    known = {"when": TableColumn(name="when", role="date", kind="moment", way=way)}
    (tmp_path / "t.csv").write_text("when,v\n03/04/2024,1\n05/04/2024,2\n" + more)
    source = open_source(tmp_path / "t.csv", Limits())
    files = [sniff(member, head) for member, head in source.scan(Report())]
    with open_table(source, files, TableReading(), Limits(), Report(), known=known) as table:
        assert str(table.frame()["when"][1].date()) == "2024-05-04"


@pytest.mark.parametrize(
    ("cells", "kind", "first", "told"),
    [
        (["2021-03-{:02d}", "{:02d}.04.2021"], "moment", "2021-03-01", "written in two ways: %Y-%m-%d and"),
        (["2024-01-{:02d}T05:00:00+01:00", "2024-02-{:02d}T05:00:00"], "word", None, "zone and others none"),
        (["{} kg", "{}000 g"], "word", None, "different units (`kg`, `g`), so they stay words"),
        (["2020-W{:02d}", "2021-W{:02d}"], "moment", "2019-12-30", ""),
        (["1e300", "{}"], "number", None, "10 numbers that are infinite or beyond 1e+30 are missing"),
        (["inf", "{}"], "number", None, "10 numbers that are infinite or beyond 1e+30 are missing"),
        (["1{:030d}", "{}"], "number", None, "are rounded to 16 digits"),
    ],
)  # fmt: skip
def test_what_a_column_would_have_been_is_told(
    tmp_path: Path, cells: list[str], kind: str, first: str | None, told: str
) -> None:
    text = "c,v\n" + "".join(f"{cell.format(i)},{i}.5\n" for i in range(1, 11) for cell in cells)
    frame, columns, report = read(tmp_path, text)
    assert columns["c"].kind == kind
    assert told in report
    assert "cells that are no" not in report
    if first is not None:
        assert str(frame["c"].min().date()) == first
        assert columns["c"].missing == 0
