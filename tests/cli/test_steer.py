"""Steering and queue verbs in this process: what they ask, what they refuse, what they print."""

from __future__ import annotations

import json
import os

import pytest

from tests.cli.conftest import Said
from workbench.cli import steer
from workbench.jobs import runs as jobs
from workbench.records import Change, RunState
from workbench.specs.presets import preset
from workbench.specs.steer import STEERABLE
from workbench.store import Store, open_store
from workbench.store.states import HOST, started_at

SPEC = preset("mlp-tiny").spec.with_changes("training.device=cpu")


@pytest.fixture
def store(home: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(jobs, "ensure_supervisor", lambda *_: None)
    monkeypatch.setattr(steer, "PATIENCE_S", 0.2)
    return open_store()


def at_work(store: Store, name: str = "run") -> str:
    row = store.runs.create(SPEC.with_changes(f"name={name}"))
    store.runs.claim(row.id, os.getpid(), started_at(os.getpid()), HOST, slot="cpu")
    store.runs.update(row.id, phase="running")
    return row.id


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("training.batch_size=64", "everything else takes a fork. Fork it: workbench fork "),
        ("model.layers.1.out_features=7", "everything else takes a fork"),
        ("training.early_stopping.patience=3", "is a part of training.early_stopping"),
        ("training.optimizer.lrr=3", "training.optimizer.lrr: only known names may appear"),
        ("training.optimizer.lr=-1", "training.optimizer.lr"),
        ("training.freeze=[99]", "there is no layer 99"),
        ("nonsense", "a change must read path=value"),
    ],
)
def test_what_cannot_be_changed_is_refused_with_the_way_that_can(
    say: Said, store: Store, change: str, reason: str
) -> None:
    run_id = at_work(store)
    code, out, err = say("change", run_id, change)
    assert (code, out) == (2, "")
    assert reason in err
    assert store.commands.take(run_id) == []


@pytest.mark.parametrize("path", STEERABLE)
def test_everything_steerable_is_taken_by_a_run_that_waits(say: Said, store: Store, path: str) -> None:
    values = {
        "training.optimizer.lr": "0.5", "training.optimizer.weight_decay": "0.5", "training.clip_norm": "2",
        "training.freeze": "[1]", "training.accumulation_steps": "4", "data.augment": "[{kind: flip}]",
        "training.early_stopping": "{patience: 3}", "training.stop_at_loss": "0.5",
    }  # fmt: skip
    run_id = store.runs.create(SPEC).id
    code, out, err = say("change", run_id, f"{path}={values[path]}")
    assert code == 0, err
    assert f"{path}=" in out
    (line,) = json.loads(say("ledger", run_id, "--json")[1])
    assert line["step"] == 0
    assert list(line["changes"]) == [path]
    assert path in say("ledger", run_id)[1]


def test_a_run_at_work_is_asked_and_one_that_does_not_answer_is_told(say: Said, store: Store) -> None:
    run_id = at_work(store)
    code, _, err = say("change", run_id, "training.optimizer.lr=0.5")
    assert code == 1
    assert "It is not changed yet" in err
    (command,) = store.commands.take(run_id)
    assert (command.verb, command.payload) == ("change", {"changes": {"training.optimizer.lr": 0.5}})


def test_a_finished_run_is_forked_and_not_changed(say: Said, store: Store) -> None:
    run_id = at_work(store)
    store.runs.exit(run_id, "finished")
    code, _, err = say("change", run_id, "training.optimizer.lr=0.5")
    assert code == 2
    assert f"Fork it: workbench fork {run_id} --set training.optimizer.lr=" in err


def test_the_newest_word_of_a_ledger_stands(store: Store) -> None:
    run_id = at_work(store)
    lines = [
        Change(10, {"training.optimizer.lr": 0.1, "training.clip_norm": 1.0}, 1.0),
        Change(90, {"training.optimizer.lr": 0.2}, 2.0),
        Change(95, {"training.optimizer.lr": 0.3, "training.clip_norm": 3.0}, 3.0),
    ]
    store.ledger.add(run_id, lines)
    store.checkpoints.write(run_id, "last", b"x", step=50, epoch=1.0, metrics={})
    store.runs.exit(run_id, "lost")
    jobs.resume(store, run_id, {"training.optimizer.lr": 0.5})
    assert [(line.step, dict(line.changes)) for line in store.ledger.list(run_id)] == [
        (10, {"training.optimizer.lr": 0.1, "training.clip_norm": 1.0}),
        (50, {"training.optimizer.lr": 0.5}),
        (95, {"training.clip_norm": 3.0}),
    ]


def test_the_queue_is_shown_moved_held_and_released(say: Said, store: Store) -> None:
    busy = at_work(store, "busy")
    a, b, c = (store.runs.create(SPEC.with_changes(f"name={name}")).id for name in "abc")
    assert "is 1 of 3 in the queue" in say("move", c, "--first")[1]
    assert say("hold", a, b)[0] == 0
    found = json.loads(say("queue", "--json")[1])
    cpu = next(slot for slot in found["slots"] if slot["slot"] == "cpu")
    assert cpu["runs"] == [busy]
    assert [(row["name"], row["held"], row["why"]) for row in found["waiting"]] == [
        ("c", False, "Waits for busy (running)."),
        ("a", True, "Held: it waits to be released."),
        ("b", True, "Held: it waits to be released."),
    ]
    assert "waits for its turn" in say("release", a)[1]
    assert "is 3 of 3 in the queue" in say("move", c, "--last")[1]
    assert "is 1 of 3 in the queue" in say("move", b, "--before", "a")[1]
    assert "Waits for busy" in say("queue")[1]
    assert say("move", a)[0] == 2, "where to?"
    assert say("hold", busy)[0] == 2


def test_a_parked_run_says_so(say: Said, store: Store) -> None:
    run_id = at_work(store)
    store.runs.exit(run_id, "parked")
    shown = json.loads(say("show", run_id, "--json")[1])
    assert (shown["state"], shown["parked"], shown["silent_s"]) == ("paused", True, None)
    assert "parked: its memory is free" in say("show", run_id)[1]
    assert "is parked at step 0" in say("park", run_id)[1]
    assert "is queued" in say("resume", run_id, "--set", "training.clip_norm=1")[1]


def test_an_offer_is_shown_and_taken_up(say: Said, store: Store) -> None:
    run_id = at_work(store)
    assert say("resume", run_id, "--offer")[0] == 2
    offer = {"text": "Go on in two parts.", "changes": {"training.accumulation_steps": 2}}
    error = {
        "where": "training",
        "rule": "r",
        "fact": "f",
        "repair": "",
        "offer": offer,
        "line": "x.py:3, in f: y",
    }
    store.runs.exit(run_id, "failed", error)
    shown = say("show", run_id)[1]
    assert f"offer: Go on in two parts. Accept it: workbench resume {run_id} --offer" in shown
    assert "at: x.py:3" in shown
    assert say("resume", run_id, "--offer")[0] == 0
    assert store.runs.get(run_id).state is RunState.QUEUED
    assert dict(store.ledger.list(run_id)[0].changes) == {"training.accumulation_steps": 2}


def test_a_log_is_searched_and_its_errors_come_with_the_line_that_matters(say: Said, store: Store) -> None:
    run_id = at_work(store)
    lines = [f"line {i}" for i in range(500)]
    lines[40:40] = [
        "Traceback (most recent call last):",
        '  File "mine.py", line 3',
        "ValueError: odd",
        "after",
    ]
    store.log_path(run_id).write_text("\n".join(lines) + "\n")
    assert say("log", run_id)[1].splitlines() == lines
    assert say("log", run_id, "--tail", "2")[1].splitlines() == lines[-2:]
    assert say("log", run_id, "--search", "LINE 49")[1].splitlines() == [x for x in lines if "line 49" in x]
    assert say("log", run_id, "--search", "line", "--tail", "1")[1].splitlines() == ["line 499"]
    assert say("log", run_id, "--errors")[1].splitlines() == [
        "41: Traceback (most recent call last):", '42:   File "mine.py", line 3', "43: ValueError: odd",
    ]  # fmt: skip
