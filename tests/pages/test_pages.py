"""Each page, opened through the app on a home of its own."""

from __future__ import annotations

import json
import os
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import Opener
from workbench.jobs.check import check
from workbench.jobs.outlook import outlook
from workbench.records import Scalars
from workbench.specs.presets import PRESETS
from workbench.store import Store, open_store
from workbench.store.states import HOST, started_at
from workbench.ui.runs import newest

HOSTILE = "<b>x</b> ![y](http://evil/z.png) :red[w] *v*"


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


def texts(app: AppTest) -> str:
    """Everything that a page says, in one text."""
    kinds = (
        "title",
        "header",
        "subheader",
        "markdown",
        "caption",
        "text",
        "error",
        "warning",
        "info",
        "success",
    )
    return "\n".join(str(e.value) for kind in kinds for e in getattr(app, kind))


def asked(app: AppTest, name: str) -> str:
    """A value of the URL; AppTest gives a list for some and a text for others."""
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def table(app: AppTest) -> dict[str, Any]:
    """What the table of runs was given; the queue above it is a component too."""
    sent = [json.loads(component.proto.json) for component in app.get("bidi_component")]
    return next(data for data in sent if "columns" in data)


def finished(store: Store, name: str = "a run") -> str:
    """A run that is over, with two validations."""
    row = store.runs.create(PRESETS["cnn-mnist"].spec.model_copy(update={"name": name}))
    steps = np.array([71, 142])
    values = {"val/accuracy": np.array([0.8, 0.75]), "val/loss": np.array([0.5, 0.6])}
    parts = [Scalars(k, steps, steps / 71, 1e9 + steps, v) for k, v in values.items()]
    store.flush(row.id, parts, step=142, epoch=2.0, total_steps=355)
    store.runs.exit(row.id, "finished")
    return row.id


# ---------------------------------------------------------------- home


def test_a_newcomer_starts_a_training_with_one_click(visit: Opener, store: Store) -> None:
    app = visit("home")
    assert "watch it learn" in app.title[0].value
    app.button(key="quick").click().run()
    (run,) = store.runs.list()
    assert run.name == "CNN on Fashion-MNIST"
    assert run.state == "queued"
    assert run.spec.model == PRESETS["cnn-mnist"].spec.model
    assert asked(app, "run") == run.id


def test_a_returning_user_sees_the_runs_first(visit: Opener, store: Store) -> None:
    finished(store)
    app = visit("home")
    assert app.title[0].value == "Your runs"
    assert "best accuracy 80\\.0 %" in texts(app)


def test_a_long_queue_does_not_hide_what_is_at_work_or_ended(visit: Opener, store: Store) -> None:
    finished(store)
    at_work = store.runs.create(PRESETS["cnn-digits"].spec.model_copy(update={"name": "at work"}))
    store.runs.claim(at_work.id, os.getpid(), started_at(os.getpid()), HOST)
    store.runs.beat(at_work.id)
    for i in range(12):
        store.runs.create(PRESETS["cnn-digits"].spec.model_copy(update={"name": f"waits {i}"}))
    shown, waiting = newest(8)
    assert (shown[0].name, shown[1].name, len(shown), waiting) == ("at work", "waits 11", 3, 12)
    app = visit("home")
    assert "12 runs wait in the queue" in [link.proto.label for link in app.get("page_link")]


def test_a_preset_opens_in_the_editor_whole(visit: Opener) -> None:
    app = visit("home")
    app.button(key="edit-cnn-digits").click().run()
    assert app.title[0].value == "Model"
    kept = json.loads(open_store().drafts.get(asked(app, "draft")) or "")
    assert kept["spec"] == PRESETS["cnn-digits"].spec.model_dump(mode="json")


# ---------------------------------------------------------------- data


def test_the_shipped_sets_are_there(visit: Opener) -> None:
    app = visit("data")
    assert {"digits", "fashion-mnist-sample"} <= set(app.selectbox(key="set").options)


@pytest.mark.parametrize("view", ["Samples", "Class balance", "Split", "Import report", "About"])
def test_every_view_of_a_set_opens(visit: Opener, view: str) -> None:
    app = visit("data", set="digits", view=view)
    assert app.selectbox(key="set").value == "digits"
    assert not app.error


def test_an_unknown_set_in_the_url_is_told_with_the_nearest(visit: Opener) -> None:
    app = visit("data", set="digit")
    assert "Did you mean" in app.warning[0].value


def test_a_set_is_taken_to_the_model_page(visit: Opener) -> None:
    app = visit("data", set="digits")
    app.button(key="use").click().run()
    assert app.title[0].value == "Model"
    editor = json.loads(app.get("bidi_component")[0].proto.json)
    assert editor["report"]["inputs"] == ["1×8×8"]


# ---------------------------------------------------------------- model


def test_the_editor_gets_the_stack_and_its_report(visit: Opener) -> None:
    app = visit("model")
    sent = json.loads(app.get("bidi_component")[0].proto.json)
    assert sent["report"]["totals"]["parameters"] == 225_034
    assert [row["shape"] for row in sent["report"]["rows"]][:3] == ["32×26×26", "32×26×26", "32×13×13"]
    assert sent["report"]["ok"] is True


def test_a_preset_is_fitted_to_the_classes(visit: Opener) -> None:
    app = visit("model")
    app.selectbox(key="preset").set_value("mlp-tiny").run()
    sent = json.loads(app.get("bidi_component")[0].proto.json)
    assert len(sent["model"]["layers"]) == 6
    assert sent["rev"].endswith(".1")  # a new stack, not an edit of the old one


def test_a_draft_survives_a_reload(visit: Opener) -> None:
    app = visit("model")
    app.selectbox(key="preset").set_value("mlp-tiny").run()
    again = visit("model", draft=asked(app, "draft"))
    assert len(json.loads(again.get("bidi_component")[0].proto.json)["model"]["layers"]) == 6


@pytest.mark.parametrize("view", ["Parameters by layer", "PyTorch code", "YAML", "Cross-check", "Import"])
def test_every_form_of_the_model_opens(visit: Opener, view: str) -> None:
    app = visit("model", form=view)
    assert not app.error
    assert (view == "Parameters by layer") is any("<b>204,928</b>" in e.proto.body for e in app.get("html"))


def test_a_model_is_imported_from_yaml(visit: Opener) -> None:
    app = visit("model", form="Import")
    text = "model:\n  family: mlp\n  layers:\n  - kind: flatten\n  - {kind: linear, out_features: 10}\n"
    app.text_area(key="import.text").set_value(text).run()
    app.button(key="import.go").click().run()
    layers = json.loads(app.get("bidi_component")[0].proto.json)["model"]["layers"]
    assert [layer["kind"] for layer in layers] == ["flatten", "linear"]


def test_a_broken_import_is_located_and_changes_nothing(visit: Opener) -> None:
    app = visit("model", form="Import")
    app.text_area(key="import.text").set_value("model:\n  layers:\n  - kind: conv3d\n").run()
    app.button(key="import.go").click().run()
    assert "conv2d" in app.error[0].value
    assert len(json.loads(app.get("bidi_component")[0].proto.json)["model"]["layers"]) == 10


# ---------------------------------------------------------------- train


def test_the_checklist_says_what_will_happen(visit: Opener) -> None:
    app = visit("train")
    html = " ".join(e.proto.body for e in app.get("html"))
    assert "9,000 to learn from, 1,000 to validate on, 2,000 to test on" in html
    assert "355 updates of 128 images: 5 passes" in html  # 5 · ⌈9000 / 128⌉
    assert "225,034 parameters" in html
    store = open_store()
    spec = PRESETS["cnn-mnist"].spec
    for head, sentence in outlook(store, spec, check(store, spec)):  # the same that `workbench check` says
        if head not in ("Memory", "Where"):  # what is free on the machine may change meanwhile
            assert f"<b>{head}</b> {escape(sentence)}" in html


def test_a_launch_queues_what_the_form_says(visit: Opener, store: Store) -> None:
    app = visit("train")
    key = next(
        w.key for w in app.number_input if w.key.startswith("training.") and w.key.endswith("batch_size")
    )
    app.number_input(key=key).set_value(64).run()
    name = next(w.key for w in app.text_input if w.key.startswith("name."))
    app.text_input(key=name).set_value(HOSTILE).run()
    app.button(key="launch").click().run()
    (run,) = store.runs.list()
    assert (run.name, run.spec.training.batch_size) == (HOSTILE, 64)
    assert asked(app, "run") == run.id


def test_the_quantiles_of_a_forecast_are_chosen_and_the_model_follows(visit: Opener, store: Store) -> None:
    tree = PRESETS["quantile-forecast"].spec.model_dump(mode="json")
    store.drafts.put("band", json.dumps({"rev": 0, "spec": tree}))
    app = visit("train", draft="band")
    box = next(w for w in app.multiselect if w.label == "Quantiles")
    assert box.value == ["0.1", "0.5", "0.9"]
    box.set_value(["0.9", "0.05", "0.1", "0.5", "0.95"]).run()
    assert "from 0.05 to 0.95 is meant to hold 90 %" in texts(app)
    spec = json.loads(store.drafts.get("band"))["spec"]
    assert spec["task"]["quantiles"] == [0.05, 0.1, 0.5, 0.9, 0.95]
    assert spec["model"]["layers"][0]["out_steps"] == 5 * 12
    box = next(w for w in app.multiselect if w.label == "Quantiles")
    box.set_value(["0.1", "0.9"]).run()
    assert "The forecast is the quantile" in app.error[0].value
    assert app.button(key="launch").disabled
    next(w for w in app.button if w.label == "Add 0.5").click().run()
    assert json.loads(store.drafts.get("band"))["spec"]["task"]["quantiles"] == [0.1, 0.5, 0.9]
    assert not app.button(key="launch").disabled
    box = next(w for w in app.multiselect if w.label == "Quantiles")
    box.set_value([]).run()
    assert "but none is chosen" in app.error[0].value
    assert app.button(key="launch").disabled


def test_a_model_that_cannot_work_cannot_be_launched(visit: Opener, store: Store) -> None:
    tree = PRESETS["cnn-mnist"].spec.model_dump(mode="json")
    del tree["model"]["layers"][6]  # flatten
    store.drafts.put("broken", json.dumps({"rev": 0, "spec": tree}))
    app = visit("train", draft="broken")
    assert app.button(key="launch").disabled
    assert "Put a flatten layer before it" in app.error[0].value


def test_a_field_out_of_bounds_in_the_draft_is_located(visit: Opener, store: Store) -> None:
    tree = PRESETS["cnn-mnist"].spec.model_dump(mode="json")
    tree["model"]["layers"][0]["out_channels"] = 0
    store.drafts.put("broken", json.dumps({"rev": 0, "spec": tree}))
    app = visit("train", draft="broken")
    assert app.button(key="launch").disabled
    assert "layer 0 \\(conv2d\\)\\.out\\_channels" in app.error[0].value


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize("n", [0, 1, 100])
def test_any_number_of_runs_is_listed(visit: Opener, store: Store, n: int) -> None:
    for i in range(n):
        store.runs.create(PRESETS["mlp-tiny"].spec.model_copy(update={"name": f"{HOSTILE * 4} {i}"[:200]}))
    app = visit("runs")
    if n == 0:
        assert "Nothing has been trained yet" in app.info[0].value
    else:
        assert len(table(app)["rows"]) == min(n, 50)  # a page


def test_runs_are_found_by_every_word(visit: Opener, store: Store) -> None:
    finished(store, "blue net")
    finished(store, "red net")
    app = visit("runs", search="NET red")
    assert [row["name"] for row in table(app)["rows"]] == ["red net"]


def test_the_table_tells_best_and_newest(visit: Opener, store: Store) -> None:
    finished(store)
    (row,) = table(visit("runs"))["rows"]
    assert row["cells"]["best:val/accuracy"] == ["80.0 %", "now 75.0 %"]
    assert row["cells"]["best:val/loss"] == ["0.5", "now 0.6"]
    assert (row["state"], row["progress_text"]) == ("finished", "40% · epoch 2.0")


# ---------------------------------------------------------------- predict


def test_predict_waits_for_a_model(visit: Opener) -> None:
    assert "No run has saved a model yet" in visit("predict").info[0].value


def test_an_answer_is_asked_of_the_chosen_run(
    visit: Opener, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = finished(store)
    store.checkpoints.write(run_id, "best", b"x", step=71, epoch=1.0, metrics={})
    asked = {}

    def answer(
        store: Store, verb: str, payload: dict[str, object], timeout_s: float = 0
    ) -> list[dict[str, object]]:
        asked.update(payload, verb=verb)
        png = payload["images"][0]["content"]  # type: ignore[index]
        return [
            {"prediction": "Bag", "probabilities": {"Bag": 0.9, HOSTILE: 0.1}, "image": png, "repairs": []}
        ]

    monkeypatch.setattr("workbench.jobs.answers.ask", answer)
    app = visit("predict")
    assert (asked["verb"], asked["run"], asked["checkpoint"]) == ("predict", run_id, "best")
    assert app.subheader[0].value == "Bag"
    bars = next(e.proto.body for e in app.get("html") if "wb-probabilities" in e.proto.body)
    assert "&lt;b&gt;x" in bars
    assert "<b>x" not in bars


def test_another_picture_is_drawn_from_all_that_were_held_out(
    visit: Opener, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = finished(store)
    store.checkpoints.write(run_id, "best", b"x", step=71, epoch=1.0, metrics={})
    blank = {"prediction": "Bag", "probabilities": {"Bag": 1.0}, "repairs": []}
    monkeypatch.setattr(
        "workbench.jobs.answers.ask",
        lambda store, verb, payload, timeout_s=0: [{**blank, "image": payload["images"][0]["content"]}],
    )
    app = visit("predict")
    number = app.number_input(key=f"predict.index.{run_id}")
    assert number.max == 1999  # the set brings 2,000 test images
    app.button(key="predict.another").click().run()
    first = app.number_input(key=f"predict.index.{run_id}").value
    app.button(key="predict.another").click().run()
    second = app.number_input(key=f"predict.index.{run_id}").value
    assert (first, second) != (0, 0)
