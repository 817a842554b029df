"""The queue on the runs page: what it shows, and what its buttons do to the order."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import Opener
from tests.pages.test_pages import HOSTILE, texts
from workbench.specs.presets import PRESETS
from workbench.store import Store, open_store
from workbench.store.states import HOST, started_at
from workbench.ui import queue


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


def waiting(store: Store, *names: str) -> list[str]:
    return [
        store.runs.create(PRESETS["mlp-tiny"].spec.model_copy(update={"name": name})).id for name in names
    ]


def sent(app: AppTest) -> dict[str, object]:
    """What the queue's component was given."""
    found = [json.loads(c.proto.json) for c in app.get("bidi_component") if "total" in c.proto.json]
    return next(data for data in found if "rows" in data and "total" in data)


def test_twenty_waiting_runs_are_listed_in_order_with_why(visit: Opener, store: Store) -> None:
    ids = waiting(store, *(f"run {i}" for i in range(20)))
    at_work = waiting(store, HOSTILE)[0]
    store.runs.claim(at_work, os.getpid(), started_at(os.getpid()), HOST)
    store.flush(at_work, [], phase="running", step=1)
    data = sent(visit("runs"))
    assert [row["id"] for row in data["rows"]] == ids
    assert all(row["why"] for row in data["rows"])
    assert [row["name"] for row in data["rows"]][:2] == ["run 0", "run 1"]


def test_an_empty_queue_says_so(visit: Opener, store: Store) -> None:
    (run,) = waiting(store, "only")
    store.runs.exit(run, "stopped")
    app = visit("runs")
    assert "Nothing waits" in texts(app)
    assert "0 at work, nothing waits" in app.expander[0].label


def test_a_name_is_a_name_and_never_markup(visit: Opener, store: Store) -> None:
    (run,) = waiting(store, HOSTILE)
    store.runs.claim(run, os.getpid(), started_at(os.getpid()), HOST)
    store.flush(run, [], phase="running", step=1)
    waiting(store, "next")
    html = " ".join(e.proto.body for e in visit("runs").get("html"))
    assert "<b>x</b>" not in html
    assert "&lt;b&gt;x" in html


@pytest.mark.parametrize(
    ("request_", "order"),
    [
        ({"verb": "move", "id": 2, "before": 0}, [2, 0, 1]),
        ({"verb": "move", "id": 0, "before": None}, [1, 2, 0]),
        ({"verb": "move", "id": 1, "before": 0}, [1, 0, 2]),
        ({"verb": "move", "id": "unknown", "before": 0}, [0, 1, 2]),
    ],
)
def test_a_run_is_put_where_it_was_asked_to(
    store: Store, monkeypatch: pytest.MonkeyPatch, request_: dict[str, object], order: list[int]
) -> None:
    monkeypatch.setattr("streamlit.rerun", lambda **_: None)
    ids = waiting(store, "a", "b", "c")
    named = {k: ids[v] if isinstance(v, int) else v for k, v in request_.items()}
    queue.obey(named, store.runs.waiting())
    assert [row.id for row in store.runs.waiting()] == [ids[i] for i in order]


def test_all_are_held_and_some_released(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlit.rerun", lambda **_: None)
    monkeypatch.setattr("workbench.jobs.runs.ensure_supervisor", lambda store, wait_s=0: None)
    ids = waiting(store, "a", "b", "c")
    queue.obey({"verb": "hold", "all": True}, store.runs.waiting())
    assert all(row.held for row in store.runs.waiting())
    assert store.runs.next_queued() is None
    queue.obey({"verb": "release", "ids": [ids[1], "gone"]}, store.runs.waiting())
    assert [row.held for row in store.runs.waiting()] == [True, False, True]
    assert store.runs.next_queued().id == ids[1]
    (held, free, _) = queue.rows([(row, "why") for row in store.runs.waiting()])
    assert (held["why"], free["why"]) == ("Held until it is released", "why")


def test_a_run_that_started_meanwhile_is_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlit.rerun", lambda **_: None)
    ids = waiting(store, "a", "b")
    seen = store.runs.waiting()
    store.runs.claim(ids[0], os.getpid(), started_at(os.getpid()), HOST)
    with pytest.raises(Exception, match="waits"):  # told as an error box, nothing changes
        queue.obey({"verb": "move", "id": ids[1], "before": ids[0]}, seen)
    assert [row.id for row in store.runs.waiting()] == [ids[1]]
