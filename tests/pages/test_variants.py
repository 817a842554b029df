"""The variants page: empty, with a run, with figures; its buttons make runs and drafts."""

from __future__ import annotations

import csv
import io

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import Opener
from tests.pages.test_pages import asked, texts
from tests.worker.taught import taught
from workbench.jobs import smaller
from workbench.specs.errors import SpecError
from workbench.specs.model import ModelSpec
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec
from workbench.store import Store, open_store
from workbench.ui.variants import EXPORTED, change_text, table_csv

TINY = PRESETS["mlp-tiny"].spec.with_changes("training.steps=4", "training.device=cpu", "training.threads=1")


@pytest.fixture
def store(home) -> Store:
    return open_store()


@pytest.fixture
def app(store: Store, visit: Opener) -> AppTest:
    return visit("variants", run=taught(store, TINY))


def saved(store: Store, spec: RunSpec) -> str:
    """A run with a checkpoint, which nothing reads here."""
    run_id = store.runs.create(spec).id
    store.checkpoints.write(run_id, "last", b"", step=1, epoch=1.0, metrics={})
    return run_id


def test_without_a_run_the_page_says_what_to_do(visit: Opener) -> None:
    assert "smaller variants are made of it here" in texts(visit("variants"))


def test_a_run_without_figures_offers_to_measure(app: AppTest) -> None:
    assert "Nothing has been measured yet" in texts(app)
    assert any(button.label == "Measure" for button in app.button)


def test_pruning_starts_a_run_and_shows_it(app: AppTest, store: Store) -> None:
    parent = store.runs.list()[0].id
    app.button(key=f"prune.go.{parent}").click().run()
    child = next(row for row in store.runs.list() if row.id != parent)
    assert child.spec.training.prune is not None
    assert child.spec.training.prune.amount == 0.5
    assert asked(app, "run") == child.id


def test_a_student_is_launched_or_opened_in_the_editor(app: AppTest, store: Store, visit: Opener) -> None:
    parent = store.runs.list()[0].id
    app.button(key=f"student.go.{parent}").click().run()
    child = next(row for row in store.runs.list() if row.id != parent)
    assert child.spec.training.distill is not None
    assert child.spec.training.distill.teacher == parent
    again = visit("variants", run=parent)
    again.button(key=f"student.edit.{parent}").click().run()
    assert again.title[0].value == "Model"
    assert parent in (store.drafts.get(asked(again, "draft")) or "")


def test_a_model_that_cannot_be_narrowed_is_told_before_a_student_of_its_size_is_taught(
    store: Store, visit: Opener
) -> None:
    spec = PRESETS["lstm-classifier"].spec.with_changes("training.device=cpu", "training.steps=1")
    parent = saved(store, spec)
    app = visit("variants", run=parent)
    assert app.slider(key=f"student.amount.{parent}").disabled
    assert app.button(key=f"student.go.{parent}").disabled
    assert not app.button(key=f"student.edit.{parent}").disabled
    assert "This model cannot be narrowed" in texts(app)
    assert "Press Design it" in texts(app)
    with pytest.raises(SpecError, match="Press Design it"):
        smaller.teach(store, store.runs.get(parent))
    assert [row.id for row in store.runs.list()] == [parent]
    few = [
        {"kind": "flatten"},
        {"kind": "linear", "out_features": 3},
        {"kind": "relu"},
        TINY.model.layers[-1],
    ]
    thin = TINY.model_copy(update={"model": ModelSpec.model_validate({"layers": few})})
    parent = saved(store, thin)
    app = visit("variants", run=parent)
    assert not app.button(key=f"student.go.{parent}").disabled
    app.slider(key=f"student.amount.{parent}").set_value(0.1).run()  # a tenth of three is none
    assert app.button(key=f"student.go.{parent}").disabled
    assert "Choose a larger share" in texts(app)


def test_what_was_measured_is_shown_and_can_be_taken_away(store: Store, visit: Opener) -> None:
    from workbench.worker.variants import measure

    parent = taught(store, TINY)
    found = measure(store, {"run": parent}, lambda words, share: None)
    app = visit("variants", run=parent)
    shown = app.dataframe[0].value
    assert list(shown["Variant"]) == ["The run itself"]
    assert list(shown["Accuracy"]) == [f"{100 * found['rows'][0]['value']:.1f} %"]
    assert "test samples" in texts(app)
    assert "newer than these figures" not in texts(app)
    lost = {"kind": "pruned", "run": parent, "name": "cut", "checkpoint": "", "state": "failed"}
    rows = [*found["rows"], {**lost, "problem": "Run `cut`: it has saved no checkpoint."}]
    store.put_sheet(parent, smaller.SHEET, {**found, "rows": rows})
    app = visit("variants", run=parent)
    assert list(app.dataframe[0].value["Accuracy"])[1] == "failed"
    assert "it has saved no checkpoint" in texts(app)
    rows = list(csv.DictReader(io.StringIO(table_csv(smaller.ratios(found)))))
    assert list(rows[0]) == list(EXPORTED)
    assert float(rows[0]["value"]) == found["rows"][0]["value"]


def test_changes_are_told_in_points_or_in_the_unit_of_the_mark() -> None:
    assert change_text("accuracy", -0.0123) == "-1.2 points"
    assert change_text("mae", 0.01234) == "+0.0123"
    assert change_text("mae", -1234.5) == "-1234"
    assert change_text("distance", -0.00001) == "-0.0000"


def test_a_fault_of_the_answering_side_is_told_on_the_page(
    app: AppTest, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.specs.errors import StoreError

    def silent(*_: object, **__: object) -> None:
        raise StoreError.of("the answering process", "it must answer", "it did not", "Try again.")

    monkeypatch.setattr("workbench.jobs.trials.begin_of", silent)
    parent = store.runs.list()[0].id
    app.button(key=f"variants.measure.{parent}.start").click().run()
    assert any("It must answer" in box.value.replace("\\", "") for box in app.error)


def test_the_train_page_offers_teachers_of_the_same_data(store: Store, visit: Opener) -> None:
    teacher = taught(store, TINY)
    app = visit("home")
    app.button(key="edit-mlp-tiny").click().run()
    draft = asked(app, "draft")
    train = visit("train", draft=draft)
    (toggle,) = [t for t in train.toggle if "distillation" in t.label]
    toggle.set_value(True).run()
    (choice,) = [s for s in train.selectbox if s.label == "Teacher"]
    assert choice.value == teacher
    train.button(key="launch").click().run()
    child = next(row for row in store.runs.list() if row.id != teacher)
    assert child.spec.training.distill is not None
    assert child.spec.training.distill.teacher == teacher


def test_a_cross_validation_is_launched_from_the_train_page_and_told_on_runs(
    store: Store, visit: Opener
) -> None:
    app = visit("home")
    app.button(key="edit-mlp-tiny").click().run()
    train = visit("train", draft=asked(app, "draft"))
    (toggle,) = [t for t in train.toggle if t.label == "Cross-validate"]
    toggle.set_value(True).run()
    (number,) = [n for n in train.number_input if n.label == "Folds"]
    number.set_value(3).run()
    train.button(key="launch").click().run()
    rows = store.runs.list()
    assert [row.spec.data.fold for row in rows] == [3, 2, 1]
    assert train.title[0].value == "Runs"
    assert "3 of 3 to come" in texts(train)
    assert asked(train, "tags") == rows[0].tags[0]
