"""Runs page with labels and pages, and the compare page, opened through the app."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import Opener
from tests.pages.test_pages import HOSTILE, asked, finished, texts
from workbench.records import Scalars
from workbench.specs.presets import PRESETS
from workbench.store import Store, open_store


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


def trained(store: Store, name: str, *changes: str, n: int = 40) -> str:
    spec = PRESETS["mlp-tiny"].spec.model_copy(update={"name": name}).with_changes(*changes)
    run_id = store.runs.create(spec).id
    steps = np.arange(1, n + 1)
    loss = Scalars("train/loss", steps, steps / 10, 1e9 + steps, 1 / steps)
    store.flush(run_id, [loss], step=n, epoch=n / 10, total_steps=n)
    store.runs.exit(run_id, "finished")
    return run_id


def sent(app: AppTest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(app.get("bidi_component")[0].proto.json)
    return found


def html(app: AppTest) -> str:
    return " ".join(e.proto.body for e in app.get("html"))


# ---------------------------------------------------------------- runs


def test_the_url_says_page_order_and_filters(visit: Opener, store: Store) -> None:
    for i in range(60):
        trained(store, f"run {i:02d}", n=i + 1)
    app = visit("runs", sort="last:train/loss", page="2")
    rows = sent(app)["rows"]
    assert [row["name"] for row in rows] == [f"run {i:02d}" for i in range(9, -1, -1)]  # 1/n falls with n
    assert "60 runs" in texts(app)
    store.labels.note(store.runs.list()[7].id, "a zebra")
    assert [row["name"] for row in sent(visit("runs", search="ZEBRA run"))["rows"]] == ["run 52"]


def test_archived_runs_are_shown_when_asked_for(visit: Opener, store: Store) -> None:
    store.labels.archive([finished(store, "old")])
    finished(store, "new")
    assert [row["name"] for row in sent(visit("runs"))["rows"]] == ["new"]
    assert [row["name"] for row in sent(visit("runs", show="Archived"))["rows"]] == ["old"]


def test_tags_filter_and_columns_follow_the_choice(visit: Opener, store: Store) -> None:
    first = trained(store, "first")
    trained(store, "second")
    store.labels.tag([first], add=["paper"])
    app = visit("runs", tags="paper", columns="train/loss, newest")
    assert [row["name"] for row in sent(app)["rows"]] == ["first"]
    assert sent(app)["rows"][0]["tags"] == ["paper"]
    assert [column["title"] for column in sent(app)["columns"]] == ["train/loss"]
    assert sent(app)["rows"][0]["cells"]["last:train/loss"] == ["0.025", "best 0.025"]


def test_runs_are_grouped_with_counts(visit: Opener, store: Store) -> None:
    finished(store, "picture")
    for i in range(2):
        trained(store, f"digit {i}")
    app = visit("runs", group="Data set")
    pills = next(group for group in app.get("button_group") if group.key == "group.data")
    assert [option.content for option in pills.proto.options] == [
        "digits · 2",
        "fashion\\-mnist\\-sample · 1",
    ]


@pytest.mark.parametrize("query", [{"sort": "nonsense"}, {"page": "999"}, {"page": "x"}, {"states": "odd"}])
def test_a_strange_url_shows_the_runs_all_the_same(
    visit: Opener, store: Store, query: dict[str, str]
) -> None:
    finished(store)
    assert len(sent(visit("runs", **query))["rows"]) == 1


# ---------------------------------------------------------------- compare


def test_compare_says_what_to_do_when_nothing_is_chosen(visit: Opener, store: Store) -> None:
    assert "nothing to compare yet" in visit("compare").info[0].value
    finished(store)
    assert "Choose runs here" in visit("compare").info[0].value
    app = visit("compare", runs="nobody,nothing")
    assert "Choose runs here" in app.info[0].value
    assert "2 of the named runs are gone" in texts(app)


def test_curves_scores_and_differences_of_two_runs(visit: Opener, store: Store) -> None:
    first, second = trained(store, HOSTILE), trained(store, "slow", "training.optimizer.lr=0.05", n=20)
    app = visit("compare", runs=f"{first},{second}", metric="train/loss")
    lines = sent(app)["lines"]
    assert [line["run"] for line in lines] == [first, second]
    y = np.frombuffer(base64.b64decode(lines[1]["y"]), "<f8")
    np.testing.assert_array_equal(y, 1 / np.arange(1, 21))
    page = html(app)
    assert "training.optimizer.lr" in page
    assert "training.batch_size" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<b>x</b>" not in page
    assert page.count("class='n win'") == 2  # train/loss, best and final


def test_a_metric_that_one_run_lacks_is_said(visit: Opener, store: Store) -> None:
    first, second = finished(store, "validated"), trained(store, "plain")
    app = visit("compare", runs=f"{first},{second}", metric="val/loss")
    assert [line["run"] for line in sent(app)["lines"]] == [first]
    assert "Without val/loss: plain" in texts(app)


def test_seeds_become_a_mean_with_a_band(visit: Opener, store: Store) -> None:
    ids = [trained(store, f"seed {i}", f"seed={i}") for i in range(3)]
    other = trained(store, "other", "training.epochs=3")
    app = visit(
        "compare", runs=",".join([*ids, other]), metric="train/loss", seeds="Mean and range", along="Samples"
    )
    (band,) = sent(app)["bands"]
    assert sorted(band["runs"]) == sorted(ids)
    batch = PRESETS["mlp-tiny"].spec.training.batch_size
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(band["x"]), "<f8"), batch * np.arange(1, 41))
    assert [line["faint"] for line in sent(app)["lines"]] == [True, True, True, False]


def test_a_zoom_in_the_url_asks_for_the_finer_range(visit: Opener, store: Store) -> None:
    run_id = trained(store, "long", n=30_000)
    wide = sent(visit("compare", runs=run_id, metric="train/loss"))
    fine = sent(visit("compare", runs=run_id, metric="train/loss", zoom="step,1000,1500"))
    assert wide["span"] is None
    assert fine["span"] == [1000, 1500]
    x = np.frombuffer(base64.b64decode(fine["lines"][0]["x"]), "<f8")
    assert set(range(1000, 1501)) <= set(x.astype(int))  # every step is there
    assert len(np.frombuffer(base64.b64decode(wide["lines"][0]["x"]), "<f8")) < 30_000 / 4


@pytest.mark.parametrize("zoom", ["step,5,1", "epoch,1,2", "step,nan,2", "step,1", "<b>"])
def test_a_zoom_that_means_nothing_is_ignored(visit: Opener, store: Store, zoom: str) -> None:
    assert sent(visit("compare", runs=trained(store, "run"), zoom=zoom))["span"] is None


def test_fifty_runs_with_long_names_open_and_more_are_cut(visit: Opener, store: Store) -> None:
    ids = [trained(store, f"{'long name ' * 18}{i}", f"seed={i}", n=5) for i in range(52)]
    app = visit("compare", runs=",".join(ids))
    assert len(sent(app)["lines"]) == 50
    assert "2 of the named runs" in texts(app)


def test_another_choice_changes_the_url(visit: Opener, store: Store) -> None:
    first, second = trained(store, "first"), trained(store, "second")
    app = visit("compare", runs=first)
    app.multiselect(key="compare.runs").set_value([first, second]).run()
    assert asked(app, "runs") == f"{first},{second}"
    assert len(sent(app)["lines"]) == 2
