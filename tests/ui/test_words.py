"""What pages say in words and numbers: durations, safe names, choices among runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.records import RunState
from workbench.specs.base import AnyShape, Columns, Pair, Tokens, Window
from workbench.specs.presets import PRESETS, READY
from workbench.specs.tasks import score_columns
from workbench.store import RunRow, open_store
from workbench.ui import board, fitting, imports, runs
from workbench.ui.marks import ago, compact, duration, megabytes, metric_text, pill, plain
from workbench.ui.stack import dump, report


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_have_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_are_short() -> None:
    assert (compact(2_660_554), compact(999), compact(0)) == ("2.66 M", "999", "0")
    assert (megabytes(115_008), megabytes(9_408_000), megabytes(1.44e9)) == ("115 kB", "9.41 MB", "1.44 GB")
    assert (ago(None), ago(0, now=30), ago(0, now=7200)) == ("–", "just now", "2 h ago")


def test_a_metric_that_is_not_a_number_is_shown_as_such() -> None:
    assert metric_text("val/loss", float("nan")) == "NaN"
    assert metric_text("val/loss", None) == "–"
    assert metric_text("val/accuracy", 0.9312) == "93.1 %"


HOSTILE = [
    "![x](http://evil/x.png)",
    "[click](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "**b** _i_ `c`",
    "# heading",
    "1. list",
    "- item",
    "> quote",
    "$x^2$",
    "https://evil.example",
    "a | b",
    "~~gone~~",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_and_never_read_as_markdown(name: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse(plain(name))
    (inline,) = [t for t in tokens if t.type == "inline"]
    assert [t.type for t in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert {c.type for c in inline.children or []} <= {"text", "text_special"}
    assert "".join(c.content for c in inline.children or []).replace("\u2060", "") == name


@pytest.mark.parametrize("name", [":red[x]", ":material/home:", ":smile:"])
def test_streamlits_own_directives_are_dead_in_names(name: str) -> None:
    assert not plain(name).startswith((name, name.replace("[", "\\["), name.replace("/", "\\/")))
    assert ":\u2060" in plain(name)


def test_a_pill_names_its_state() -> None:
    assert ">running</span>" in pill(RunState.RUNNING)
    assert 'data-state="running"' in pill(RunState.RUNNING)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte.gz"),
        ("../../../etc/passwd", "passwd"),
        ("C:\\x\\y.zip", "y.zip"),
        ("..", "upload"),
        ("<b>é.zip", "_b__.zip"),
        (".hidden", "hidden"),
        ("", "upload"),
    ],
)
def test_an_uploaded_name_never_becomes_a_path(sent: str, kept: str) -> None:
    assert imports.safe_name(sent) == kept


# ---------------------------------------------------------------- runs


@pytest.fixture
def run(home: Path) -> RunRow:
    return open_store().runs.create(PRESETS["cnn-mnist"].spec)


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        ("queued", {"hold", "stop", "delete"}),
        ("starting", {"pause", "stop"}),
        ("running", {"pause", "park", "stop"}),
        ("paused", {"park", "resume", "stop"}),
        ("stopping", set()),
        ("finished", {"delete"}),
        ("stopped", {"resume", "delete"}),
        ("failed", {"resume", "delete"}),
        ("lost", {"resume", "delete"}),
    ],
)
def test_only_controls_that_make_sense_are_offered(run: RunRow, state: str, allowed: set[str]) -> None:
    offered = runs.can(replace(run, state=RunState(state)))
    assert {verb for verb, on in offered.items() if on} == allowed


def test_the_table_survives_a_run_without_any_finite_value(run: RunRow) -> None:
    nan: dict[str, Any] = {"val/loss": {"last": float("nan")}}
    row = board.cells(replace(run, metrics=nan), ["best:val/loss", "last:val/loss", "best:val/accuracy"])
    assert row["cells"]["best:val/loss"] == ["NaN", "now NaN"]
    assert row["cells"]["last:val/loss"] == ["NaN", ""]
    assert row["cells"]["best:val/accuracy"] == ["–"]


# ---------------------------------------------------------------- presets on other data


OTHER: dict[fitting.Purpose, tuple[AnyShape, int]] = {
    fitting.Purpose("images", "classification"): ((3, 32, 32), 37),
    fitting.Purpose("images", "segmentation"): ((1, 40, 56), 7),
    fitting.Purpose("images", "reconstruction"): ((3, 40, 24), 2),
    fitting.Purpose("images", "generation"): ((3, 32, 48), 2),
    fitting.Purpose("text", "classification"): (Tokens(48, 3_000), 37),
    fitting.Purpose("text", "language_model"): (Tokens(48, 97), 97),
    fitting.Purpose("text", "translation"): (Pair(Tokens(40, 800), Tokens(40, 900)), 900),
    fitting.Purpose("table", "classification"): (Columns(5, (9, 3, 40)), 37),
    fitting.Purpose("table", "regression"): (Columns(11, (4,)), 1),
    fitting.Purpose("table", "multi_label"): (Columns(11, ()), 6),
    fitting.Purpose("series", "forecasting"): (Window(96, 7), 24 * 7),
}


@pytest.mark.parametrize("name", READY)
def test_a_preset_is_fitted_to_other_data_of_its_kind(name: str) -> None:
    spec = PRESETS[name].spec
    purpose = fitting.of_run(spec)
    shape, n = OTHER[purpose]
    n = score_columns(spec.task, n)
    shape = spec.task.input(shape, n)
    model = fitting.refitted(dump(spec.model), shape, n, per_token=purpose.per_token)
    found = report(model, shape, n, per_token=purpose.per_token)
    assert found["ok"], found["problems"]
    assert found["goal"]["met"]
    assert len(model["layers"]) - len(spec.model.layers) == int(name == "mlp-big"), "categories first"
