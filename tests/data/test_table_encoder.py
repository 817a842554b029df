"""Cells become numbers as scikit-learn makes them, learned from the training rows alone."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

from workbench.data import kept, load, prepare
from workbench.data.report import Report
from workbench.data.table.asked import from_file, from_rows
from workbench.data.table.dataset import TableData, whole
from workbench.data.table.kept import encoder_of
from workbench.data.table.stored import StoredTable
from workbench.specs.base import Columns
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError
from workbench.specs.tables import TableColumn, TableImport, TableSpec

N = 400


def made(seed: int = 0) -> pd.DataFrame:
    """Numbers with gaps and long tails, words of all frequencies, dates, and a target."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": draw.normal(5, 3, N).round(3), "b": np.exp(draw.normal(size=N)).round(4),
            "kind": draw.choice(["x", "y", "z", "w"], N, p=[0.5, 0.3, 0.19, 0.01]),
            "day": pd.to_datetime("2020-01-01") + pd.to_timedelta(draw.integers(0, 900, N), "D"),
            "y": draw.integers(0, 2, N),
        }
    )  # fmt: skip
    frame.loc[draw.random(N) < 0.1, "a"] = np.nan
    frame.loc[draw.random(N) < 0.1, "kind"] = None
    return frame


def loaded(
    tmp_path: Path, frame: pd.DataFrame, name: str = "set", target: str = "y", **spec: object
) -> TableData:
    frame.to_csv(tmp_path / f"{name}.csv", index=False)
    prepare(tmp_path / f"{name}.csv", tmp_path / name, table=TableImport(target=(target,)))
    found = load(tmp_path / name, DataSpec(name=name, table=TableSpec(**spec)))
    assert isinstance(found, TableData)
    return found


@pytest.mark.parametrize("numbers", ["standardize", "quantile"])
@pytest.mark.parametrize("fill", ["median", "mean"])
def test_numbers_and_words_equal_scikit_learns_pipeline_fitted_on_the_training_rows(
    tmp_path: Path, numbers: str, fill: str
) -> None:
    frame = made()
    data = loaded(tmp_path, frame, numbers=numbers, fill=fill, categories="one_hot", indicate=False, rare=5)
    train = frame.iloc[data.train.index]
    scaler = StandardScaler() if numbers == "standardize" else QuantileTransformer(
        n_quantiles=min(1000, len(train)), output_distribution="normal", subsample=None
    )  # fmt: skip
    words = OneHotEncoder(handle_unknown="ignore", min_frequency=5, sparse_output=False)
    theirs = ColumnTransformer(
        [("n", make_pipeline(SimpleImputer(strategy=fill), scaler), ["a", "b"]), ("w", words, ["kind"])]
    ).fit(train.assign(kind=train["kind"].fillna("\0")))
    for split in (data.train, data.validation, data.test):
        rows = frame.iloc[split.index]
        expected = theirs.transform(rows.assign(kind=rows["kind"].fillna("\0")))
        names = theirs.get_feature_names_out()
        kept = [k for k, name in enumerate(names) if "infrequent" not in name]
        ours = [k for k, name in enumerate(data.encoder.features) if not name.startswith("day")]
        assert np.allclose(np.asarray(split.x)[:, ours], expected[:, kept], atol=1e-6)


def test_what_is_learned_comes_from_the_training_rows_alone_to_the_byte(tmp_path: Path) -> None:
    frame = made()
    one = loaded(tmp_path, frame, "one")
    held = np.setdiff1d(np.arange(N), one.train.index)
    other = frame.copy()
    other.loc[held, "a"] = 1e6  # scalers, imputers and encoders that saw these rows would change
    other.loc[held, "b"] = -1e6
    other.loc[held, "kind"] = "never"
    two = loaded(tmp_path, other, "two")
    assert np.array_equal(one.train.index, two.train.index)
    assert one.encoder.to_json() == two.encoder.to_json()
    assert np.asarray(one.train.x).tobytes() == np.asarray(two.train.x).tobytes()
    assert not np.array_equal(np.asarray(one.test.x), np.asarray(two.test.x))


def test_the_spread_of_a_target_comes_from_the_training_rows_alone(tmp_path: Path) -> None:
    frame = made()
    one = loaded(tmp_path, frame, "one", target="b")
    other = frame.copy()
    other.loc[np.setdiff1d(np.arange(N), one.train.index), "b"] = 1e9
    two = loaded(tmp_path, other, "two", target="b")
    assert (one.encoder.target_mean, one.encoder.target_scale) == (
        two.encoder.target_mean,
        two.encoder.target_scale,
    )
    back = one.train.y[:, 0] * one.encoder.target_scale + one.encoder.target_mean
    assert np.allclose(back, frame["b"].to_numpy()[one.train.index], rtol=1e-5)


def test_rare_words_unknown_words_and_gaps_have_codes_of_their_own(tmp_path: Path) -> None:
    data = loaded(tmp_path, made(), rare=10)
    (own,) = data.encoder.words
    assert set(own.words) == {"x", "y", "z", "\0"}  # w is seen four times or so
    assert data.shape == Columns(len(data.encoder.numbers), (5,))
    fields = data.schema.fields
    rows = [{"kind": kind} for kind in ("x", "w", "never", None, "?")]
    x = data.encoder.encode(from_rows(rows, fields, data.encoder.columns))
    codes = x[:, -1].tolist()
    assert codes[1] == codes[2] == 0
    assert codes[3] == codes[4] == 1 + own.words.index("\0")
    assert codes[0] == 1 + own.words.index("x")
    assert np.isfinite(x).all()


def test_gaps_are_told_by_a_column_of_their_own(tmp_path: Path) -> None:
    data = loaded(tmp_path, made())
    assert "a (missing)" in data.encoder.features
    place = data.encoder.features.index("a (missing)")
    gone = made()["a"].isna().to_numpy()[data.train.index]
    assert np.array_equal(np.asarray(data.train.x)[:, place], gone.astype(np.float32))


def test_parts_of_dates_are_those_of_pandas(tmp_path: Path) -> None:
    frame = made()
    data = loaded(tmp_path, frame, numbers="none")
    days = frame["day"].iloc[data.train.index]
    x = dict(zip(data.encoder.features, np.asarray(data.train.x).T, strict=True))
    assert np.array_equal(x["day (month)"], days.dt.month)
    assert np.array_equal(x["day (weekday)"], days.dt.day_of_week)
    assert "day (hour)" not in x


def test_rows_of_a_form_and_of_a_file_are_read_as_the_table_was(tmp_path: Path) -> None:
    data = loaded(tmp_path, made())
    fields, needed = data.schema.fields, data.encoder.columns
    form = from_rows([{"a": "4,000.5", "b": 2, "kind": "x", "day": "2021-02-03"}], fields, needed)
    beside: dict[str, list[str]] = {}
    asked = b"day;a;id;kind;b;seen\n2021-02-03;4000,5;007;x;2;2024-05-01\n"
    file = from_file("r.csv", asked, fields, needed, Report(), beside)
    assert beside == {"id": ["007"], "seen": ["2024-05-01"]}  # so that it is known whose row it is
    assert np.array_equal(data.encoder.encode(form), data.encoder.encode(file))


@pytest.mark.parametrize(
    ("way", "cell", "expected"),
    [
        ("%d/%m/%Y", "03/04/2024", "2024-04-03"),
        ("%m/%d/%Y", "03/04/2024", "2024-03-04"),
        ("%d/%m/%Y", "2024-03-04", "2024-03-04"),
        ("%d.%m.%Y %H:%M", "03.04.2024 17:30", "2024-04-03T17:30"),
        ("%Y-%m-%d | %d.%m.%Y", "03.04.2024", "2024-04-03"),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-03-04T01:00:00+02:00", "2024-03-03T23:00"),
        ("%Y-%m-%d", "2024-03-04T01:00:00+02:00", "2024-03-03T23:00"),
        ("%Y%m%d", 20240304, "2024-03-04"),
        ("%Y-%m", "2024Q2", "2024-04-01"),
        ("", "2024-03-04 05:06", "2024-03-04T05:06"),  # of sets from before
        ("%d/%m/%Y", date(2024, 3, 4), "2024-03-04"),
        ("%d/%m/%Y", "?", "NaT"),
    ],
)
def test_a_date_of_a_row_is_read_in_the_way_of_its_table(way: str, cell: object, expected: str) -> None:
    own = TableColumn(name="day", role="date", kind="moment", way=way)
    assert from_rows([{"day": cell}], [own], ["day"])["day"].tolist() == [
        np.datetime64(expected, "us").item()
    ]


@pytest.mark.parametrize("cell", [2019, "2019", 17.0, 1.5e9, True, "03/13/2024", "4 March", "2024-13-01"])
def test_what_the_import_would_take_for_no_date_is_none_in_a_row_either(cell: object) -> None:
    own = TableColumn(name="day", role="date", kind="moment", way="%d/%m/%Y")
    with pytest.raises(DataError, match="Write it as 31/12/2024 or 2024-12-31, or leave it empty"):
        from_rows([{"day": "01/02/2024"}, {"day": cell}], [own], ["day"])


def test_numbers_of_another_unit_and_words_that_were_not_learned_are_told(tmp_path: Path) -> None:
    frame = made()
    data = loaded(tmp_path, frame.assign(a=frame["a"].map("{} kg".format, na_action="ignore")))
    fields, needed, report = data.schema.fields, data.encoder.columns, Report()
    asked = "a,b,kind\n155 lb,1.2k,x\n70 kg,2,Paris\n71,3,\n"
    found = from_file("r.csv", asked.encode(), fields, needed, report)
    assert np.isnan(found["a"]).tolist() == [True, False, False]
    assert np.isnan(found["b"]).tolist() == [True, False, False]
    told = [row["reason"] for row in report.rows()]
    assert "1 cells that are no number in `kg` are missing" in told
    assert "1 cells that are no number are missing" in told
    assert data.encoder.unlearned(found) == {"kind": (1, "Paris")}
    with pytest.raises(DataError, match="Write a number in `kg`, or leave it empty"):
        from_rows([{"a": "155 lb"}], fields, needed)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"a": "tall"}, "other, column `a`: it holds numbers in the run's table, but it holds words"),
        ({"day": "some day"}, "other, column `day`: it holds moments in the run's table, but it holds words"),
        ({"b": "{} lb"}, "column `b`: its numbers are in `kg` in the run's table, but they are in `lb`"),
        ({"kind": None}, "other: a table to judge on has the columns of the run's, but it has no `kind`"),
    ],
)
def test_another_table_is_judged_where_its_columns_are_the_runs(
    tmp_path: Path, change: dict[str, str | None], told: str
) -> None:
    frame = made()
    data = loaded(tmp_path, frame.assign(b=frame["b"].map("{} kg".format)))
    same = frame.assign(b=frame["b"].map("{} kg".format), kind=frame["kind"].replace("z", "new"))
    loaded(tmp_path, same, "same")
    split, odd = whole(tmp_path / "same", data, "same")
    assert (len(split), odd) == (N, {"kind": ((same["kind"] == "new").sum(), "new")})
    loaded(tmp_path, same.assign(a=None), "empty")
    empty, _ = whole(tmp_path / "empty", data, "empty")
    first = data.encoder.numbers[0]
    assert (first.column, first.part) == ("a", "")
    assert np.allclose(empty.x[:, 0], split.x[np.isnan(frame["a"]), 0][0])
    for name, cell in change.items():
        if cell is None:
            other = same.drop(columns=name)
        else:
            other = same.assign(**{name: same["b"].str.removesuffix(" kg").map(cell.format)})
    loaded(tmp_path, other, "other")
    with pytest.raises(DataError, match=re.escape(told)):
        whole(tmp_path / "other", data, "other")


def test_rows_that_are_none_of_the_tables_are_refused(tmp_path: Path) -> None:
    data = loaded(tmp_path, made())
    fields, needed = data.schema.fields, data.encoder.columns
    with pytest.raises(DataError, match="Did you mean `kind`"):
        from_rows([{"kindd": "x"}], fields, needed)
    with pytest.raises(DataError, match="a cell of it is a number"):
        from_rows([{"a": "many"}], fields, needed)
    with pytest.raises(DataError, match="it has none of"):
        from_file("r.csv", b"q,r\n1,2\n3,4\n", fields, needed, Report())


def test_an_encoder_is_kept_as_plain_numbers(tmp_path: Path) -> None:
    data = loaded(tmp_path, made(), numbers="quantile")
    stored = StoredTable(tmp_path / "set")
    again = encoder_of(stored, DataSpec(name="set", table=TableSpec(numbers="quantile")))
    assert again == data.encoder
    assert type(again).from_json(again.to_json()) == again
    assert not list((tmp_path / "set").rglob("*.pkl"))


def test_two_threads_that_make_the_same_folder_get_a_whole_one(tmp_path: Path) -> None:
    """As two tabs of the browser do: the second begins in the middle of the first."""
    place, begun, over = tmp_path / "encoded-x", Event(), Event()

    def second(draft: Path) -> None:
        begun.set()
        assert over.wait(30)
        (draft / "train.npy").write_text("train")
        (draft / "test.npy").write_text("test")

    def first(draft: Path) -> None:
        (draft / "train.npy").write_text("train")
        others.submit(kept.made, place, "set", "numbers", second)
        assert begun.wait(30)
        (draft / "test.npy").write_text("test")

    with ThreadPoolExecutor(1) as others:
        assert kept.made(place, "set", "numbers", first) == place
        over.set()
    assert sorted(path.name for path in place.iterdir()) == ["test.npy", "train.npy"]
    assert list(tmp_path.iterdir()) == [place], "no draft is left"


def test_what_killed_processes_left_half_made_is_removed_after_a_day(tmp_path: Path) -> None:
    loaded(tmp_path, made())
    stored = StoredTable(tmp_path / "set")
    (place,) = stored.folder.glob("encoded-*")
    day = 24 * 3600
    drafts = {}
    for name, folder, first, last in (
        ("killed", stored.folder, 3 * day, 2 * day), ("killed in it", place, 3 * day, 2 * day),
        ("at work", stored.folder, 3 * day, 60), ("begun", place, 60, 60),
    ):  # fmt: skip
        draft = folder / f"encoded-{name}.part-0"
        draft.mkdir()
        (draft / "train.npy").write_text("half")
        for path, age in ((draft / "train.npy", last), (draft, first)):
            os.utime(path, (time.time() - age,) * 2)
        drafts[name] = draft
    encoder_of(stored, DataSpec(name="set"))
    assert [name for name, draft in drafts.items() if draft.exists()] == ["at work", "begun"]


@pytest.mark.parametrize("categories", ["embed", "one_hot"])
def test_rare_words_share_codes_by_their_hash_and_unseen_ones_too(tmp_path: Path, categories: str) -> None:
    frame = made()
    draw = np.random.default_rng(1)
    frame["town"] = [f"town {k}" if k < 150 else "big" for k in draw.integers(0, 200, N)]
    asked = {"categories": categories, "rare": 10}
    plain = loaded(tmp_path, frame, "plain", **asked)
    data = loaded(tmp_path, frame, "hashed", buckets=16, **asked)
    one, own = (next(w for w in d.encoder.words if w.column == "town") for d in (plain, data))
    kind = next(w for w in data.encoder.words if w.column == "kind")
    assert (one.words, own.words) == (("big",), ("big",))
    assert (one.codes, own.codes) == (2, 18)
    assert kind.buckets == 0  # it has no four rare words
    assert data.encoder == type(data.encoder).from_json(data.encoder.to_json())
    assert len(data.encoder.features) == len(data.encoder.sources) == data.shape[0]
    cells = np.array(["big", "town 1", "never seen", None], object)
    place = {"big": 1}
    codes = [own.code("\0" if cell is None else cell, place) for cell in cells]
    assert codes[0] == 1
    assert all(2 <= code < 18 for code in codes[1:3])
    assert codes[3] == 0
    x = np.asarray(data.train.x)
    at = data.encoder.sources.index("town")
    seen = x[:, at] if categories == "embed" else x[:, at : at + 17] @ np.arange(1, 18)
    assert len(np.unique(seen)) >= 15  # the buckets are used evenly
    row = from_rows([{"town": "never seen"}], data.schema.fields, data.encoder.columns)
    told = data.encoder.encode(row)[0]
    code = told[at] if categories == "embed" else told[at : at + 17] @ np.arange(1, 18)
    assert code == codes[2]
