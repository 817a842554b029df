"""The live page's hands on a run: steering, the ledger, forks and where they come from."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import Opener
from tests.pages.test_pages import asked, texts
from workbench.records import Change
from workbench.specs.presets import PRESETS
from workbench.store import Store, open_store
from workbench.store.states import HOST, started_at
from workbench.ui import live
from workbench.ui.steer import ledger_sentences

RATE = "training.optimizer.lr"


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


def at_work(store: Store, phase: str = "running") -> str:
    """A run that this very process claims to train, 100 steps in."""
    run = store.runs.create(PRESETS["cnn-mnist"].spec.model_copy(update={"name": "at work"})).id
    store.runs.claim(run, os.getpid(), started_at(os.getpid()), HOST)
    store.flush(run, [], phase=phase, step=100, epoch=1.4, total_steps=355)
    return run


def ended(store: Store, kind: str = "stopped") -> str:
    run = at_work(store)
    for name in ("best", "last"):
        store.checkpoints.write(run, name, b"x", step=71 if name == "best" else 100, epoch=1.0,
                                metrics={"val/accuracy": 0.912})  # fmt: skip
    store.runs.exit(run, kind)
    return run


def widget(app: AppTest, kind: str, end: str) -> object:
    """The widget whose key ends so."""
    return next(w for w in getattr(app, kind) if w.key and w.key.endswith(end))


def html(app: AppTest) -> str:
    return " ".join(e.proto.body for e in app.get("html"))


def test_the_panel_shows_what_is_in_force_and_asks_the_run_for_the_change(
    visit: Opener, store: Store
) -> None:
    run = at_work(store)
    store.ledger.add(run, [Change(40, {RATE: 0.002}, time.time())])
    app = visit("live", run=run, panel="steer")
    rate = widget(app, "number_input", "optimizer.lr")
    assert rate.value == 0.002  # not the 0.001 that the run was started with
    rate.set_value(0.0005).run()
    assert "Learning rate 0.002 → 0.0005" in texts(app).replace("\\", "")
    widget(app, "button", ".apply").click().run()
    (command,) = store.commands.take(run)
    assert (command.verb, command.payload) == ("change", {"changes": {RATE: 0.0005}})


def test_a_value_out_of_bounds_cannot_be_applied_and_says_why(visit: Opener, store: Store) -> None:
    run = at_work(store)
    app = visit("live", run=run, panel="steer")
    widget(app, "number_input", "optimizer.lr").set_value(-1.0).run()
    assert "Learning rate must be above 0" in app.error[0].value
    assert widget(app, "button", ".apply").disabled
    assert not store.commands.take(run)


def test_layers_are_frozen_by_name_but_not_all_of_them(visit: Opener, store: Store) -> None:
    run = at_work(store)
    app = visit("live", run=run, panel="steer")
    freeze = widget(app, "multiselect", ".freeze")
    assert freeze.options[0] == "0 · conv2d 32"
    freeze.set_value(freeze.options).run()
    assert "every layer with weights is frozen" in app.error[0].value
    assert widget(app, "button", ".apply").disabled
    widget(app, "multiselect", ".freeze").set_value(["0 · conv2d 32"]).run()
    widget(app, "button", ".apply").click().run()
    (command,) = store.commands.take(run)
    assert command.payload == {"changes": {"training.freeze": [0]}}


def test_augmentations_are_added_set_and_asked_for_as_a_whole_list(visit: Opener, store: Store) -> None:
    run = at_work(store)
    app = visit("live", run=run, panel="steer")
    widget(app, "selectbox", ".add.0").set_value("shift").run()
    widget(app, "number_input", ".new0.strength").set_value(0.2).run()
    widget(app, "selectbox", ".add.1").set_value("flip").run()
    widget(app, "button", ".new1.up").click().run()
    widget(app, "button", ".apply").click().run()
    (command,) = store.commands.take(run)
    assert command.payload["changes"] == {
        "data.augment": [
            {"kind": "flip", "p": 0.5, "axis": "horizontal"},
            {"kind": "shift", "p": 0.5, "strength": 0.2},
        ]
    }


def test_a_change_of_a_stopped_run_is_a_line_at_its_checkpoint_and_in_force_when_it_goes_on(
    visit: Opener, store: Store
) -> None:
    run = ended(store)
    app = visit("live", run=run, panel="steer")
    widget(app, "number_input", "optimizer.lr").set_value(0.0001).run()
    widget(app, "button", ".resume").click().run()
    (line,) = store.ledger.list(run)
    assert (line.step, line.changes) == (100, {RATE: 0.0001})
    assert store.runs.get(run).state == "queued"
    assert "Learning rate 0.001 → 0.0001" in html(visit("live", run=run, panel="steer"))


def test_the_ledger_tells_each_step_from_what_to_what() -> None:
    spec = PRESETS["cnn-mnist"].spec
    lines = [Change(10, {RATE: 0.01}, 0.0), Change(20, {RATE: 0.02, "training.freeze": [0]}, 1.0)]
    assert ledger_sentences(spec, lines) == [
        "Learning rate 0.001 → 0.01",
        "Learning rate 0.01 → 0.02; frozen layers none → 0",
    ]


def test_a_replay_is_a_child_with_the_same_ledger(visit: Opener, store: Store) -> None:
    run = ended(store)
    store.ledger.add(run, [Change(40, {RATE: 0.002}, time.time())])
    app = visit("live", run=run, panel="steer")
    app.button(key="ledger.replay").click().run()
    child = store.runs.get(asked(app, "run"))
    assert child.parent == run
    assert [(line.step, line.changes) for line in store.ledger.list(child.id)] == [(40, {RATE: 0.002})]


def test_a_fork_takes_the_checkpoint_its_settings_and_what_was_edited_on_the_way(
    visit: Opener, store: Store
) -> None:
    run = ended(store)
    store.ledger.add(run, [Change(40, {RATE: 0.002}, 0.0), Change(90, {RATE: 0.5}, 1.0)])
    app = visit("live", run=run, panel="fork")
    where = widget(app, "radio", run)
    assert [option.split(" · ")[0] for option in where.options] == ["Fresh weights", "best", "last"]
    where.set_value("best").run()
    app.button(key="fork.edit").click().run()
    assert app.title[0].value == "Train"
    draft = asked(app, "draft")
    kept = json.loads(store.drafts.get(draft) or "")
    assert (kept["parent"], kept["checkpoint"]) == (run, "best")
    assert kept["spec"]["training"]["optimizer"]["lr"] == 0.002  # in force at step 71, not the later one
    app = visit("train", draft=draft)
    key = next(
        w.key for w in app.number_input if w.key.startswith("training.") and w.key.endswith("batch_size")
    )
    app.number_input(key=key).set_value(64).run()
    assert "Starts from best" in texts(app)
    app.button(key="launch").click().run()
    child = store.runs.get(asked(app, "run"))
    assert (child.parent, child.parent_checkpoint) == (run, "best")
    assert (child.spec.training.batch_size, child.spec.training.optimizer.lr) == (64, 0.002)
    labels = [link.proto.label for link in app.get("page_link")]
    assert "at work" in labels  # the parent is one click away
    back = visit("live", run=run)
    assert any("fork" in link.proto.label for link in back.get("page_link"))


def test_a_fork_that_changes_the_model_cannot_take_its_weights(visit: Opener, store: Store) -> None:
    run = ended(store)
    spec = PRESETS["cnn-mnist"].spec
    tree = spec.model_dump(mode="json")
    tree["model"]["layers"][0]["out_channels"] = 8
    store.drafts.put("fork", json.dumps({"rev": 1, "spec": tree, "parent": run, "checkpoint": "best"}))
    app = visit("train", draft="fork")
    assert app.button(key="launch").disabled
    assert "weights fit only the architecture" in texts(app)
    app.button(key="draft.fresh").click().run()
    app.button(key="launch").click().run()
    child = store.runs.get(asked(app, "run"))
    assert (child.parent, child.parent_checkpoint) == (run, None)


def test_a_draft_of_an_older_version_still_opens(visit: Opener, store: Store) -> None:
    store.drafts.put(
        "old", json.dumps({"rev": 0, "spec": PRESETS["cnn-digits"].spec.model_dump(mode="json")})
    )
    app = visit("train", draft="old")
    assert not app.button(key="launch").disabled


def test_a_draft_is_kept_for_a_month_after_its_last_edit(
    visit: Opener, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, now = 86_400, time.time()
    for name, age in (("old", 31), ("young", 29)):
        monkeypatch.setattr("workbench.store.signals.time.time", lambda age=age: now - age * day)
        store.drafts.put(name, "{}")
    monkeypatch.undo()
    monkeypatch.setenv("WORKBENCH_HOME", str(store.home))
    visit("home").button(key="edit-cnn-digits").click().run()
    assert store.drafts.get("old") is None
    assert store.drafts.get("young") == "{}"


@pytest.mark.parametrize(
    ("sent", "act"),
    [
        ({"verb": "step", "steps": 5}, live.Act("step", 5)),
        ({"verb": "park"}, live.Act("park")),
        ({"verb": "delete"}, None),
        ({"verb": "step", "steps": 0}, None),
        ({"verb": "step", "steps": "5"}, None),
        ("pause", None),
        (None, None),
    ],
)
def test_only_known_requests_of_the_browser_are_taken(sent: object, act: live.Act | None) -> None:
    assert live.act_of(sent) == act
