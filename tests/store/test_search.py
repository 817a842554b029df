"""Finding runs among many: the database's answer is compared with plain Python over all rows."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from workbench.records import RunState, Scalars
from workbench.specs.errors import RunError
from workbench.specs.presets import preset
from workbench.store import Query, RunRow, Store, open_store
from workbench.store.states import HOST


@pytest.fixture
def store(home: object) -> Store:
    return open_store()


def add(store: Store, name: str, loss: float | None = None, spec: str = "mlp-tiny", end: str = "") -> str:
    run_id = store.runs.create(preset(spec).spec.model_copy(update={"name": name})).id
    if loss is not None:
        one = np.array([1])
        store.flush(run_id, [Scalars("val/loss", one, one / 2, one + 1e9, np.array([loss]))], step=1)
    if end:
        store.runs.exit(run_id, end)
    return run_id


def names(store: Store, query: Query = Query(), **more: Any) -> list[str]:  # noqa: B008
    return [run.name for run in store.runs.search(query, **more)[0]]


def test_every_word_is_looked_for_everywhere(store: Store) -> None:
    first, second = add(store, "Größe Zwei"), add(store, "other 100%_x")
    store.labels.note(second, "Learned nothing")
    store.labels.tag([first], add=["paper"])
    assert names(store, Query("GRÖSSE")) == []  # ß is not ss
    assert names(store, Query("größe zwei")) == ["Größe Zwei"]
    assert names(store, Query("NOTHING other")) == ["other 100%_x"]
    assert names(store, Query("paper")) == ["Größe Zwei"]
    assert names(store, Query(first[-4:])) == ["Größe Zwei"]
    assert names(store, Query("0%_")) == ["other 100%_x"]  # no wildcards
    assert len(names(store, Query("digits"))) == 2
    store.runs.rename(first, "renamed")
    assert names(store, Query("größe")) == []
    assert names(store, Query("renamed paper")) == ["renamed"]


def test_pages_are_cut_from_one_order(store: Store) -> None:
    rng = random.Random(0)
    losses = {f"run {i}": rng.choice([rng.random(), None]) for i in range(23)}
    for name, loss in losses.items():
        add(store, name, loss)
    expected = sorted((loss, name) for name, loss in losses.items() if loss is not None)
    pages = [
        names(store, sort_key="best:val/loss", descending=False, limit=5, offset=at) for at in range(0, 25, 5)
    ]
    found = [name for page in pages for name in page]
    assert found[: len(expected)] == [name for _, name in expected]
    assert sorted(found) == sorted(losses)  # runs without the value come last, none twice
    down = names(store, sort_key="last:val/loss", limit=50)
    assert down[: len(expected)] == [name for _, name in reversed(expected)]
    assert store.runs.search(limit=5)[1] == 23


def test_nan_is_never_first(store: Store) -> None:
    add(store, "nan", float("nan"))
    add(store, "good", 0.5)
    for down in (True, False):
        assert names(store, sort_key="last:val/loss", descending=down) == ["good", "nan"]


def test_an_unknown_order_is_explained(store: Store) -> None:
    with pytest.raises(RunError, match="Did you mean `created`"):
        store.runs.search(sort_key="creatd")


def test_every_state_finds_exactly_the_runs_that_are_in_it(store: Store) -> None:
    for end in ("finished", "stopped", "failed", "lost"):
        add(store, end, end=end)
    add(store, "queued")
    me = psutil.Process()
    for phase in ("starting", "running", "paused", "stopping"):
        run_id = add(store, phase)
        store.runs.claim(run_id, os.getpid(), me.create_time(), HOST)
        store.runs.update(run_id, phase=phase)
    killed = add(store, "killed")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    store.runs.claim(killed, child.pid, psutil.Process(child.pid).create_time(), HOST)
    child.kill()
    child.wait()
    rows = store.runs.list()
    for state in RunState:
        expected = {run.name for run in rows if run.state is state}
        assert set(names(store, Query(states=[state]))) == expected
    assert set(names(store, Query(states=["lost"]))) == {"lost", "killed"}
    assert set(names(store, Query(states=["running", "failed"]))) == {"running", "failed"}


def test_tags_notes_and_the_archive(store: Store) -> None:
    first, second = add(store, "first"), add(store, "second")
    store.labels.tag([first, second], add=["paper", " two  words "])
    store.labels.tag([second], add=["late"], remove=["paper"])
    assert store.runs.get(first).tags == ("paper", "two words")
    assert store.labels.tags() == [("two words", 2), ("late", 1), ("paper", 1)]
    assert names(store, Query(tags=["two words", "late"])) == ["second"]
    before = store.runs.revision(first)
    store.labels.archive([first])
    assert store.runs.revision(first) > before
    assert names(store, Query(archived=False)) == ["second"]
    assert names(store, Query(archived=True)) == ["first"]
    assert set(names(store)) == {"first", "second"}
    store.labels.archive([first], False)
    assert store.runs.search(Query(archived=False))[1] == 2


@pytest.mark.parametrize("bad", ["", "  ", "a,b", "+a", "-a", "x" * 41, "a\x00"])
def test_what_cannot_be_a_tag_is_refused(store: Store, bad: str) -> None:
    run_id = add(store, "run")
    with pytest.raises(RunError, match="a tag has 1 to 40 characters"):
        store.labels.tag([run_id], add=[bad])
    assert store.runs.get(run_id).tags == ()


def test_groups_count_what_fits(store: Store) -> None:
    ids = [add(store, f"{i}", spec=spec) for i, spec in enumerate(["mlp-tiny", "mlp-tiny", "cnn-mnist"])]
    store.labels.tag(ids[:1], add=["x"])
    assert store.runs.groups("model") == [("mlp-tiny", 2), ("cnn-mnist", 1)]
    assert dict(store.runs.groups("data")) == {"digits": 2, "fashion-mnist-sample": 1}
    assert store.runs.groups("tag") == [("x", 1)]
    assert names(store, Query(model=["cnn-mnist"])) == ["2"]


def test_metrics_by_row_say_what_the_run_says(store: Store) -> None:
    run_id = add(store, "run")
    steps = np.arange(1, 6)
    for part in (slice(0, 3), slice(3, 5)):
        points = [
            Scalars(key, steps[part], steps[part] / 5, 1e9 + steps[part], values[part])
            for key, values in {
                "val/loss": np.array([3.0, 1, 2, np.nan, 4]),
                "val/accuracy": np.array([0.1, 0.2, 0.9, 0.4, 0.5]),
            }.items()
        ]
        store.flush(run_id, points, step=5)
    assert store.runs.metric_keys() == ["val/accuracy", "val/loss"]
    agree(store, run_id)
    store.truncate_after(run_id, 2)
    assert store.runs.get(run_id).metrics["val/accuracy"]["best"] == 0.2
    agree(store, run_id)


def agree(store: Store, run_id: str) -> None:
    from sqlalchemy import select

    from workbench.store.schema import run_metrics

    with store._engine.connect() as connection:
        rows = connection.execute(select(run_metrics).where(run_metrics.c.run_id == run_id)).all()
    found = {row.key: (row.last, row.best, row.best_step) for row in rows}
    told = store.runs.get(run_id).metrics
    assert found == {key: (v["last"], v["best"], v["best_step"]) for key, v in told.items()}


def test_nothing_of_a_deleted_run_is_left(store: Store) -> None:
    run_id = add(store, "run", 0.5, end="stopped")
    store.labels.tag([run_id], add=["x"])
    store.runs.delete(run_id)
    assert store.labels.tags() == []
    assert store.runs.metric_keys() == []
    assert store.runs.many([run_id]) == []


def test_only_runs_with_a_model_are_offered_for_predictions(store: Store) -> None:
    add(store, "without")
    store.checkpoints.write(add(store, "with"), "best", b"x", step=1, epoch=1.0, metrics={})
    assert names(store, Query(saved=True)) == ["with"]


def test_a_page_costs_no_more_rows_than_it_shows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.store import runs

    for i in range(30):
        add(store, str(i))
    made: list[str] = []
    frozen: Callable[[Any], RunRow] = runs.frozen

    def counted(row: Any) -> RunRow:
        made.append(row.id)
        return frozen(row)

    monkeypatch.setattr(runs, "frozen", counted)
    rows, total = store.runs.search(sort_key="name", limit=4)
    assert (len(rows), total, len(made)) == (4, 30, 4)
