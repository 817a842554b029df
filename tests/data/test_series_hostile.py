"""Awkward and hostile series: each is read rightly, or refused with what to do; nothing is lost silently."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench import data
from workbench.data.series.stored import Stored
from workbench.specs.errors import DataError
from workbench.specs.series_import import SeriesImport

N = 60


def hours(n: int = N, start: str = "2021-03-01", freq: str = "h") -> list[str]:
    return [str(t) for t in pd.date_range(start, periods=n, freq=freq)]


def lines(*columns: list[object], head: str, mark: str = ",") -> str:
    return head + "\n" + "".join(mark.join(map(str, row)) + "\n" for row in zip(*columns, strict=True))


def wave(n: int = N) -> list[object]:
    return [round(10 + 5 * np.sin(i / 3) + 0.01 * i, 4) for i in range(n)]


def read(
    tmp_path: Path, content: str | bytes, name: str = "s.csv", kind: str | None = None, **asked: object
) -> tuple[Stored, str]:
    """The series, and its report as one text."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = data.prepare(path, tmp_path / "set", kind=kind, series=SeriesImport(**asked) if asked else None)
    assert found.schema.kind == "series", found.schema
    return Stored(tmp_path / "set"), "\n".join(
        f"{r['action']}: {r['file']}: {r['reason']}" for r in found.report
    )


WAYS = {
    "iso": [f"{t[:10]}T{t[11:]}" for t in hours()],
    "iso with a zone": [f"{t}+02:00" for t in hours()],
    "utc": [f"{t[:10]}T{t[11:]}Z" for t in hours()],
    "day first": [pd.Timestamp(t).strftime("%d/%m/%Y %H:%M") for t in hours(N * 12)][::12],
    "month first": [pd.Timestamp(t).strftime("%m/%d/%Y %H:%M") for t in hours(N * 12)][::12],
    "points": [pd.Timestamp(t).strftime("%d.%m.%Y %H:%M") for t in hours(N * 12)][::12],
    "twelve hours": [pd.Timestamp(t).strftime("%Y-%m-%d %I:%M %p") for t in hours()],
    "months": [t[:7] for t in hours(freq="MS")],
    "named months": [pd.Timestamp(t).strftime("%b %Y") for t in hours(freq="MS")],
    "quarters": [f"{pd.Timestamp(t).year}-Q{pd.Timestamp(t).quarter}" for t in hours(freq="QS")],
    "seconds": [1_600_000_000 + 60 * i for i in range(N)],
    "milliseconds": [1_600_000_000_000 + 60_000 * i for i in range(N)],
    "microseconds": [1_600_000_000_000_000 + 60_000_000 * i for i in range(N)],
    "years": [1900 + i for i in range(N)],
}
FREQUENCIES = {
    "day first": "12 h", "month first": "12 h", "points": "12 h", "months": "1 month",
    "named months": "1 month", "quarters": "1 quarter", "seconds": "1 min", "milliseconds": "1 min",
    "microseconds": "1 min", "years": "1 year",
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_moments_are_read_however_they_are_written(tmp_path: Path, way: str):
    head = "year,load" if way == "years" else "timestamp,load"
    stored, report = read(tmp_path, lines(WAYS[way], wave(), head=head))
    assert stored.schema.frequency == FREQUENCIES.get(way, "1 h"), report
    assert stored.schema.variates == ("load",)
    np.testing.assert_allclose(stored.values[:, 0], wave())
    assert not stored.filled.any()
    if way == "utc":
        assert stored.moments[0] == np.datetime64("2021-03-01", "ms").astype(np.int64)
    if way == "iso with a zone":
        assert stored.moments[0] == np.datetime64("2021-02-28T22:00", "ms").astype(np.int64)


def test_missing_steps_are_filled_and_told(tmp_path: Path):
    keep = [i for i in range(N) if i not in (7, 8, 30)]
    stored, report = read(
        tmp_path, lines([hours()[i] for i in keep], [float(i) for i in keep], head="time,v")
    )
    assert len(stored) == N
    assert stored.values[:, 0].tolist() == [{7: 6, 8: 6, 30: 29}.get(i, i) for i in range(N)]
    assert stored.filled[:, 0].nonzero()[0].tolist() == [7, 8, 30]
    assert "filled with the value before" in report
    assert "3 steps are missing in 2 places (2 after 2021-03-01 06:00, 1 after 2021-03-02 05:00)" in report


def test_missing_steps_may_be_left_out_or_filled_along_a_line(tmp_path: Path):
    keep = [i for i in range(N) if i not in (7, 8, 30)]
    text = lines([hours()[i] for i in keep], [float(i) for i in keep], head="time,v")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    kept, report = read(tmp_path / "a", text, gaps="keep")
    assert len(kept) == N - 3
    assert "left as they are" in report
    line, _ = read(tmp_path / "b", text, gaps="interpolate")
    np.testing.assert_allclose(line.values[:, 0], np.arange(N))


def test_a_moment_that_comes_twice_gives_one_step(tmp_path: Path):
    times, values = hours(), [float(i) for i in range(N)]
    text = lines([*times, times[5], times[5]], [*values, 11.0, 17.0], head="time,v")
    for how, expected in (("mean", 11.0), ("first", 5.0), ("last", 17.0)):
        (tmp_path / how).mkdir()
        stored, report = read(tmp_path / how, text, duplicates=how)
        assert (len(stored), stored.values[5, 0]) == (N, expected)
        assert "2 have a moment that was there already" in report


def test_several_series_below_each_other_are_refused(tmp_path: Path):
    text = lines([*hours(), *hours(), *hours()], [*wave(), *wave(), *wave()], head="time,v")
    with pytest.raises(DataError, match="several series below each other"):
        read(tmp_path, text, kind="series")


@pytest.mark.parametrize(("order", "word"), [("back", "turned round"), ("mixed", "times a row is earlier")])
def test_steps_backwards_are_sorted_and_told(tmp_path: Path, order: str, word: str):
    rows = list(range(N))[::-1] if order == "back" else [*range(20, N), *range(20)]
    stored, report = read(tmp_path, lines([hours()[i] for i in rows], rows, head="time,v"))
    np.testing.assert_allclose(stored.values[:, 0], np.arange(N))
    assert word in report


def summer(n: int = 24 * 400) -> tuple[list[str], list[float]]:
    """Local hours of Berlin as a clock on the wall shows them: one missing in spring, one twice in autumn."""
    local = pd.date_range("2021-01-01", periods=n, freq="h", tz="Europe/Berlin")
    return [str(t)[:19] for t in local], [float(i) for i in range(n)]


def test_summer_time_is_told_right_where_the_zone_is_known(tmp_path: Path):
    times, values = summer()
    stored, report = read(tmp_path, lines(times, values, head="time,v"), timezone="Europe/Berlin")
    assert stored.schema.frequency == "1 h"
    np.testing.assert_allclose(stored.values[:, 0], values)
    assert not stored.filled.any()
    assert "read in UTC (+1 h, +2 h)" in report
    assert stored.moments[0] == np.datetime64("2020-12-31T23:00", "ms").astype(np.int64)


def test_the_doubled_hour_is_told_right_where_the_newest_comes_first(tmp_path: Path):
    times, values = summer()
    text = lines(times[::-1], values[::-1], head="time,v")
    stored, report = read(tmp_path, text, timezone="Europe/Berlin")
    assert stored.values[:, 0].tolist() == values
    assert "turned round" in report


def test_of_rows_that_share_a_step_the_nearest_is_kept(tmp_path: Path):
    at = [str(t) for t in pd.date_range("2021-03-01", periods=N, freq="h")]
    at.insert(5, "2021-03-01 04:36:00")
    values = [float(i) for i in range(N)]
    values.insert(5, 999.0)
    stored, _ = read(tmp_path, lines(at, values, head="time,v"))
    assert stored.values[:, 0].tolist() == [float(i) for i in range(N)]


def test_summer_time_is_hinted_at_where_it_is_not(tmp_path: Path):
    times, values = summer()
    stored, report = read(tmp_path, lines(times, values, head="time,v"))
    assert stored.schema.frequency == "1 h"
    assert "1 have a moment that was there already, 2021-10-31 02:00" in report
    assert "repaired: rows: they may be the hour that comes twice when summer time ends" in report
    assert "1 step is missing in 1 place (1 after 2021-03-28 01:00)" in report


@pytest.mark.parametrize("form", ["offsets", "utc", "seconds", "parquet"])
def test_moments_that_tell_their_zone_are_not_shifted_again(tmp_path: Path, form: str):
    at = pd.date_range("2021-10-30", periods=N, freq="h", tz="Europe/Berlin")
    cells = {
        "offsets": [t.isoformat() for t in at],
        "utc": [f"{t.tz_convert('UTC'):%Y-%m-%dT%H:%M:%SZ}" for t in at],
        "seconds": [int(t.timestamp()) for t in at], "parquet": at,
    }[form]  # fmt: skip
    content: str | bytes
    if form == "parquet":
        content = pd.DataFrame({"time": cells, "v": wave()}).to_parquet()
    else:
        content = lines(cells, wave(), head="time,v")
    name = "s.parquet" if form == "parquet" else "s.csv"
    (tmp_path / "again").mkdir()
    stored, report = read(tmp_path, content, name, "series", timezone="Europe/Berlin")
    expected = at.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)
    assert stored.moments.tolist() == expected.tolist()
    assert "Europe/Berlin is not needed" in report
    assert stored.schema.columns["timezone"] == "Europe/Berlin"  # of files that go on from it without one
    with pytest.raises(DataError, match="`Moon/Sea` is none"):
        read(tmp_path / "again", content, name, "series", timezone="Moon/Sea")


def test_a_zone_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="Europe/Berlin, but `Moon/Sea` is none"):
        read(tmp_path, lines(hours(), wave(), head="time,v"), timezone="Moon/Sea")


def test_words_constants_numbers_of_rows_and_empty_columns_are_left_out(tmp_path: Path):
    text = lines(
        range(N), hours(), wave(), ["Oslo"] * N, [7] * N, [""] * N, head="id,time,v,town,seven,nothing"
    )
    stored, report = read(tmp_path, text)
    assert stored.schema.variates == ("v",)
    reasons = {
        "id": "it numbers the rows", "town": "it holds words", "seven": "its values are all 7",
        "nothing": "it has no value",
    }  # fmt: skip
    for name, why in reasons.items():
        assert f"refused: column `{name}`: {why}" in report


def test_missing_cells_are_filled_and_counted(tmp_path: Path):
    cells = [float(i) for i in range(N)]
    cells[4] = cells[5] = "NA"  # type: ignore[assignment]
    cells[0], cells[-1] = "", "?"  # type: ignore[assignment]
    stored, report = read(tmp_path, lines(hours(), cells, wave(), head="time,a,b"))
    assert stored.values[:7, 0].tolist() == [1, 1, 2, 3, 3, 3, 6]
    assert stored.values[-1, 0] == N - 2
    assert "column `a`: 4 missing values filled" in report
    assert data.look(tmp_path / "s.csv")["examples"][0] == ["2021-03-01 00:00:00", "", "10.0"]
    assert stored.filled[:, 1].sum() == 0


def test_far_numbers_that_mean_missing_are_taken_for_it(tmp_path: Path):
    cells = [200 if i % 20 == 3 else v for i, v in enumerate(wave())]
    cells = [-200 if c == 200 else c for c in cells]
    stored, report = read(tmp_path, lines(hours(), cells, head="time,v"))
    assert stored.values.min() > 0
    assert "-200 lies far from all others and is taken for missing in 3 cells" in report


def test_semicolons_and_decimal_commas_are_read(tmp_path: Path):
    cells = [str(v).replace(".", ",") for v in wave()]
    stored, _ = read(tmp_path, lines(hours(), cells, head="Zeit;Wert", mark=";"))
    np.testing.assert_allclose(stored.values[:, 0], wave())


def test_days_and_times_in_two_columns_are_one_moment(tmp_path: Path):
    days, clocks = [t[:10] for t in hours()], [t[11:].replace(":", ".") for t in hours()]
    stored, report = read(tmp_path, lines(days, clocks, wave(), head="Date,Time,v"))
    assert stored.schema.frequency == "1 h", report
    assert stored.schema.columns == {"time": "Date + Time"}
    assert stored.schema.variates == ("v",)


def test_rows_without_moments_are_numbered_where_a_series_is_asked_for(tmp_path: Path):
    stored, report = read(tmp_path, lines(wave(), head="v"), kind="series")
    assert stored.schema.frequency == ""
    assert stored.label(0) == "1"
    assert "no column tells a moment: the rows are numbered" in report


def test_uneven_steps_are_taken_as_they_come(tmp_path: Path):
    draw = np.random.default_rng(0)
    at = np.cumsum(draw.integers(1, 100_000, N))
    times = [str(pd.Timestamp("2021-01-01") + pd.Timedelta(int(s), "s")) for s in at]
    stored, report = read(tmp_path, lines(times, wave(), head="time,v"), kind="series")
    assert (len(stored), stored.schema.frequency) == (N, "")
    assert "the steps are uneven" in report


def test_business_days_have_no_gaps_at_weekends(tmp_path: Path):
    days = [t[:10] for t in hours(freq="B")]
    stored, report = read(tmp_path, lines(days, wave(), head="date,close"))
    assert stored.schema.frequency == "1 business day"
    assert len(stored) == N, report


def test_rows_with_moments_that_cannot_be_read_are_told(tmp_path: Path):
    times = hours(200)
    times[3] = "soon"
    stored, report = read(tmp_path, lines(times, wave(200), head="time,v"))
    assert len(stored) == 200
    assert stored.filled[3, 0]
    assert "1 without a moment that can be read" in report


@pytest.mark.parametrize("n", [0, 1, 7])
def test_a_series_that_is_too_short_is_refused(tmp_path: Path, n: int):
    with pytest.raises(DataError) as refused:
        read(tmp_path, lines(hours(n), wave(n), head="time,v"), kind="series")
    assert refused.value.problems[0].fact


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (lines(hours(), ["x"] * N, head="time,v"), "it has none"),
        (lines(hours(), [1] * N, head="time,v"), "it has none"),
        ("\0\0\0", ""),
        ("", ""),
        ("time,v\n", ""),
    ],
    ids=["words alone", "a constant alone", "zero bytes", "nothing", "a header alone"],
)
def test_what_holds_no_variate_is_refused(tmp_path: Path, text: str, fact: str):
    with pytest.raises(DataError) as refused:
        read(tmp_path, text, kind="series")
    assert fact in refused.value.problems[0].fact
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"time_column": "when"}, "`when` is none"),
        ({"time_column": "v"}, "the time column holds dates"),
        ({"value_columns": ("w",)}, "`w` is none"),
        ({"value_columns": ("town",)}, "a variate is a column of numbers"),
        ({"frequency": "now and then"}, "a number and a unit"),
    ],
)
def test_wishes_that_cannot_be_are_refused_with_the_reason(tmp_path: Path, asked, message: str):
    text = lines(hours(), wave(), ["Oslo", "Rome"] * (N // 2), head="time,v,town")
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, **asked)


def test_a_frequency_that_is_asked_for_makes_the_grid(tmp_path: Path):
    stored, report = read(tmp_path, lines(hours(), wave(), head="time,v"), frequency="30 min")
    assert (len(stored), stored.schema.frequency) == (2 * N - 1, "30 min")
    assert f"{N - 1} steps are missing" in report


def test_parquet_and_workbooks_and_packed_files_are_series_too(tmp_path: Path):
    frame = pd.DataFrame({"time": pd.to_datetime(hours()), "v": wave()})
    parquet, book = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    frame.to_excel(book, index=False)
    packed = io.BytesIO()
    frame.to_csv(packed, index=False, compression="gzip")
    for name, blob in (("s.parquet", parquet), ("s.xlsx", book), ("s.csv.gz", packed)):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        stored, _ = read(folder, blob.getvalue(), name)
        np.testing.assert_allclose(stored.values[:, 0], wave())


def test_tables_and_texts_are_not_taken_for_series(tmp_path: Path):
    draw = np.random.default_rng(0)
    at = [str(pd.Timestamp("2021-01-01") + pd.Timedelta(int(s), "s")) for s in draw.integers(0, 10**8, N)]
    orders = lines(at, draw.integers(1, 90, N).tolist(), ["yes", "no"] * (N // 2), head="ordered,price,paid")
    (tmp_path / "orders.csv").write_text(orders)
    with contextlib.suppress(DataError):  # a table without texts
        assert data.look(tmp_path / "orders.csv")["kind"] != "series"
    films = [f'"a film of day {i}"' for i in range(N)]
    (tmp_path / "reviews.csv").write_text(lines(films, ["good", "bad"] * (N // 2), head="review,verdict"))
    assert data.look(tmp_path / "reviews.csv")["kind"] != "series"


def test_names_of_strangers_stay_names(tmp_path: Path):
    head = 'time,"<b>x</b>","a,b","\u202eevil"'
    stored, _ = read(tmp_path, lines(hours(), wave(), wave(), wave(), head=head))
    assert stored.schema.variates[:2] == ("<b>x</b>", "a,b")
    assert "\u202e" not in stored.schema.variates[2]


def test_infinite_and_huge_numbers_are_missing_and_told(tmp_path: Path):
    """One of 1e300 makes the spread infinite: every scaled value would be 0, or none."""
    cells = wave()
    cells[3], cells[9], cells[20] = "inf", "1e300", "1e29"
    stored, report = read(tmp_path, lines(hours(), cells, head="time,v"))
    assert np.isfinite(stored.values).all()
    assert stored.values[9, 0] < 100
    assert stored.values[20, 0] == 1e29
    assert "2 numbers that are infinite or beyond 1e+30 are missing" in report
