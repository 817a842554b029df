"""Cross-validation: a run per fold under one tag, mean ± sd over those that finished, trouble told."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest

from workbench import catalog
from workbench.jobs import folds
from workbench.jobs.check import see
from workbench.records import Scalars
from workbench.specs.diff import same_but_seed
from workbench.specs.errors import SpecError
from workbench.specs.presets import PRESETS
from workbench.store import Store, open_store

SPEC = PRESETS["mlp-tiny"].spec.with_changes("name=tiny")


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("workbench.jobs.runs.ensure_supervisor", lambda store, wait_s=0: None)
    return open_store()


def finish(store: Store, run_id: str, accuracy: float, kind: str = "finished") -> None:
    steps = np.array([1, 2])
    values = np.array([accuracy, accuracy - 0.1])
    store.flush(run_id, [Scalars("val/accuracy", steps, steps / 2, 1e9 + steps, values)], step=2, epoch=1.0)
    store.runs.exit(run_id, kind)


def test_every_fold_is_a_run_and_together_they_validate_on_everything(store: Store) -> None:
    group, ids = folds.cross_validate(store, SPEC, 4)
    rows = [store.runs.get(run_id) for run_id in ids]
    assert [row.spec.data.fold for row in rows] == [1, 2, 3, 4]
    assert [row.name for row in rows][:2] == ["tiny, fold 1 of 4", "tiny, fold 2 of 4"]
    assert all(row.tags == (group,) and not row.held for row in rows)
    seen = [set(catalog.load(store, row.spec.data).validation.index.tolist()) for row in rows]
    tests = [set(catalog.load(store, row.spec.data).test.index.tolist()) for row in rows]
    assert tests[0] == tests[3]
    assert len(set.union(*seen)) == sum(map(len, seen))  # no sample twice
    assert not set.union(*seen) & tests[0]


def test_the_mean_and_deviation_are_those_of_the_folds_that_finished(store: Store) -> None:
    group, ids = folds.cross_validate(store, SPEC, 4)
    values = [0.9, 0.8, 0.95]
    for run_id, value in zip(ids, values, strict=False):
        finish(store, run_id, value)
    found = folds.summary(store, group)
    best = found.metrics["val/accuracy"]["best"]
    assert best["mean"] == pytest.approx(statistics.mean(values))
    assert best["sd"] == pytest.approx(statistics.stdev(values))
    assert best["n"] == 3
    assert found.left == 1
    assert found.metrics["val/accuracy"]["last"]["mean"] == pytest.approx(statistics.mean(values) - 0.1)
    finish(store, ids[3], 0.1, kind="failed")
    told = folds.summary(store, group)
    assert told.metrics["val/accuracy"]["best"]["n"] == 3
    assert told.wrong == ((4, ids[3], "failed"),)
    mean = statistics.mean(values) - 0.1
    assert told.sentence("val/accuracy").startswith(f"val/accuracy {mean:.4f} ± ")  # not chosen by itself
    assert "fold 4 failed" in told.sentence(told.headline)
    assert told.to_json()["wrong"] == [{"fold": 4, "run": ids[3], "state": "failed"}]


def test_a_spec_that_cannot_run_queues_no_fold(store: Store) -> None:
    with pytest.raises(SpecError):
        folds.cross_validate(store, SPEC.with_changes("data.name=nowhere"), 3)
    with pytest.raises(SpecError, match="2 to 20 folds"):
        folds.cross_validate(store, SPEC, 1)
    assert store.runs.count() == 0


def test_folds_are_one_experiment_on_the_compare_page(store: Store) -> None:
    import json

    _, ids = folds.cross_validate(store, SPEC, 3)
    other = store.runs.create(SPEC.with_changes("training.epochs=9")).id
    specs = {run_id: json.loads(store.runs.get(run_id).spec_json) for run_id in [*ids, other]}
    assert same_but_seed(specs) == [tuple(ids)]


def test_groups_are_listed_newest_first(store: Store) -> None:
    one, _ = folds.cross_validate(store, SPEC, 2)
    store.labels.tag([store.runs.create(SPEC).id], add=["something else"])
    assert folds.groups(store) == [one]


def test_folds_whose_texts_have_other_characters_are_refused_with_a_way_out(
    store: Store, tmp_path: Path
) -> None:
    """A letter that one fold alone has is no token of what is learned while that fold is validated on."""
    file = tmp_path / "rare.txt"
    file.write_text("\n".join(["so it was and so it is"] * 60 + ["Æ " * 40]), encoding="utf-8")
    catalog.add(store, file, "rare", kind="text")
    spec = PRESETS["gpt-char"].spec.with_changes("data.name=rare", "data.text.length=8", "data.test=0")
    n = see(store, spec.model_copy(update={"data": spec.data.model_copy(update={"folds": 2, "fold": 1})}))[1]
    m = see(store, spec.model_copy(update={"data": spec.data.model_copy(update={"folds": 2, "fold": 2})}))[1]
    assert n != m
    spec = spec.with_changes(f"model.layers.4.out_features={see(store, spec)[1]}")
    with pytest.raises(SpecError, match=r"one model must fit all folds.*Set data.text.tokenizer to bpe"):
        folds.cross_validate(store, spec, 2)
    assert store.runs.list() == []
