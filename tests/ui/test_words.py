"""What pages say in words and numbers: plans, durations, safe names, choices among runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.records import RunState
from workbench.specs.presets import PRESETS
from workbench.specs.training import EarlyStopping, TrainingSpec
from workbench.store import RunRow, open_store
from workbench.ui import board, imports, runs
from workbench.ui.marks import ago, compact, duration, megabytes, metric_text, pill, plain
from workbench.ui.model import fitted
from workbench.ui.plan import checklist, has_batch_norm, plan
from workbench.ui.stack import dump, report

SIZES = {"train": 9000, "validation": 1000, "test": 2000}


def test_a_plan_counts_the_last_partial_batch() -> None:
    planned = plan(TrainingSpec(batch_size=128, epochs=5), SIZES)
    assert (planned.steps_per_epoch, planned.total_steps) == (71, 355)  # ⌈9000 / 128⌉ = 71
    assert planned.epochs == 5


@pytest.mark.parametrize("n", [1, 2, 64, 65, 127, 128, 129, 8_961, 9_000])
@pytest.mark.parametrize("size", [1, 2, 64, 128])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_plan_counts_the_batches_that_the_engine_cuts(n: int, size: int, batch_norm: bool) -> None:
    from workbench.engine.batches import batch_sizes

    planned = plan(TrainingSpec(batch_size=size, epochs=1), {**SIZES, "train": n}, batch_norm=batch_norm)
    assert planned.steps_per_epoch == len(batch_sizes(n, size, join_single=batch_norm))


def test_batch_norm_is_found_inside_blocks_too() -> None:
    known = {name: has_batch_norm(preset.spec) for name, preset in PRESETS.items()}
    assert known["cnn-mnist"] is False
    from torch import nn

    from workbench.models.build import build

    for name, preset in PRESETS.items():
        data = preset.spec.data
        side = data.size or (8 if data.name == "digits" else 28)
        shape = (data.channels or 1, side, side)
        model = build(preset.spec.model, shape)
        real = any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in model.modules())
        assert known[name] is real, name


def test_steps_win_over_epochs() -> None:
    planned = plan(TrainingSpec(batch_size=9000, epochs=5, steps=7), SIZES)
    assert (planned.total_steps, planned.epochs) == (7, 7)


def test_the_checklist_tells_every_early_end() -> None:
    spec = PRESETS["cnn-mnist"].spec
    training = spec.training.model_copy(
        update={"early_stopping": EarlyStopping(patience=3), "stop_at_loss": 0.2}
    )
    spec = spec.model_copy(update={"training": training})
    lines = dict(checklist(spec, plan(training, SIZES), 225_034, 424_000_000, "the first GPU"))
    assert "after 3 validations without a better validation loss" in lines["Ends early"]
    assert "at a validation loss of 0.2 or below" in lines["Ends early"]
    assert "424 MB" in lines["Device"]


def test_a_model_without_convolutions_promises_no_filters() -> None:
    spec = PRESETS["mlp-image"].spec
    lines = dict(checklist(spec, plan(spec.training, SIZES), 1, 1, "cpu"))
    assert lines["Watching"].startswith("curves live")


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
        ("..", "upload-3"),
        ("<b>é.zip", "_b__.zip"),
        (".hidden", "hidden"),
        ("", "upload-3"),
    ],
)
def test_an_uploaded_name_never_becomes_a_path(sent: str, kept: str) -> None:
    assert imports.safe_name(sent, 3) == kept


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


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_fitted_to_the_number_of_classes(name: str) -> None:
    layers = fitted(dump(PRESETS[name].spec.model), (3, 32, 32), 37)
    found = report(layers, (3, 32, 32), 37)
    assert found["ok"]
    assert found["totals"]["output"] == "37"
    assert len(layers) == len(PRESETS[name].spec.model.layers)
