"""The hardest, doubted and oddest samples, against faults planted in real digits and against torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from tests.data.test_series import folder_of
from tests.worker.taught import taught
from workbench import catalog
from workbench.data.dataset import rows_of
from workbench.data.series.dataset import load
from workbench.engine.batches import normalised
from workbench.jobs.hardest import KINDS, hardest
from workbench.specs.data import DataSpec, SeriesSpec
from workbench.specs.errors import DataError, RunError
from workbench.specs.presets import preset
from workbench.specs.tasks import ForecastingTask
from workbench.store import Store, open_store
from workbench.tasks.forecasting import Forecasting
from workbench.worker.answering import Answers
from workbench.worker.samples import _Look, doubtful_labels, oddness
from workbench.worker.trained import Trained

PLANTED = 20  # in each split
SPEC = preset("cnn-digits").spec.with_changes(
    "data.name=planted", "data.test=0.2", "data.validation=0.2", "training.epochs=6", "training.threads=1"
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The shipped digits with 20 wrong labels in each split and 20 checkerboards in the test split, and a
    run on them."""
    folder = tmp_path_factory.mktemp("samples")
    store = open_store(folder / "home")
    digits = catalog.with_shipped(store, "digits")
    arrays = catalog.looking.open_arrays(digits.path)
    images, labels = np.array(arrays.images), arrays.labels.copy()
    # The cut depends on the labels too, so the splits are written out.
    cut = rows_of(digits.path, DataSpec(name="digits", test=0.2, validation=0.2))
    rng = np.random.default_rng(5)
    wrong, odd = {}, rng.choice(cut.test, PLANTED, replace=False)
    for split in ("train", "validation", "test"):
        free = np.setdiff1d(getattr(cut, split), odd)
        wrong[split] = rng.choice(free, PLANTED, replace=False)
        labels[wrong[split]] = (labels[wrong[split]] + rng.integers(1, 10, PLANTED)) % 10
    images[odd] = np.indices((8, 8)).sum(axis=0) % 2 * 255
    arrays_of = {
        f"{x}_{name}": values[getattr(cut, split)]
        for name, split in (("train", "train"), ("val", "validation"), ("test", "test"))
        for x, values in (("x", images[:, 0]), ("y", labels))
    }
    np.savez(folder / "planted.npz", **arrays_of)
    row = catalog.add(store, folder / "planted.npz", "planted")
    # Its rows are train, then validation, then test: where each planted one came to lie.
    order = np.concatenate([cut.train, cut.validation, cut.test])
    place = {int(old): new for new, old in enumerate(order)}
    assert row.rows == len(order)
    yield {
        "store": store, "run": taught(store, SPEC), "odd": {place[int(i)] for i in odd},
        "wrong": {split: {place[int(i)] for i in rows} for split, rows in wrong.items()},
    }  # fmt: skip
    store.close()


def found_by(planted: dict[str, Any], split: str, **more: Any) -> dict[str, Any]:
    answers = Answers(planted["store"])

    def ask(store: Store, verb: str, payload: Any, timeout_s: float) -> Any:
        return json.loads(json.dumps(answers.answer(verb, payload)))  # as over the socket

    return hardest(planted["store"], planted["run"], split, asker=ask, **more)


def rows(found: dict[str, Any], kind: str, first: int) -> set[int]:
    return {line["row"] for line in found[kind][:first]}


@pytest.mark.parametrize("split", ["validation", "test"])
def test_planted_wrong_labels_are_among_the_hardest(planted: dict[str, Any], split: str) -> None:
    found = found_by(planted, split)
    wrong = planted["wrong"][split]
    assert len(rows(found, "hardest", 60) & wrong) >= 0.8 * PLANTED
    assert len(rows(found, "hardest", 30) & wrong) >= 0.6 * PLANTED


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_planted_wrong_labels_are_doubted_and_most_doubts_are_right(
    planted: dict[str, Any], split: str
) -> None:
    found = found_by(planted, split)
    wrong, doubted = planted["wrong"][split], rows(found, "mislabelled", 30)
    assert len(doubted & wrong) >= 0.5 * PLANTED
    right = len(rows(found, "mislabelled", found["doubted"]) & wrong)
    assert right >= 0.6 * found["doubted"], "most doubts are right"
    for line in found["mislabelled"]:
        assert line["prediction"] != line["label"]


def test_images_of_another_kind_are_the_oddest(planted: dict[str, Any]) -> None:
    found = found_by(planted, "test")
    assert len(rows(found, "oddest", 30) & planted["odd"]) >= 0.8 * PLANTED


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_losses_are_torch_s_own(planted: dict[str, Any], split: str) -> None:
    found = found_by(planted, split)
    trained = Answers(planted["store"]).shelf.get(planted["run"])
    part = getattr(trained.data, split)
    with torch.inference_mode():
        scores = trained.model(normalised(part.x, trained.data.mean, trained.data.std))
    loss = F.cross_entropy(scores, torch.from_numpy(part.y), reduction="none").numpy()
    order = np.argsort(-loss)
    assert found["judged"] == found["of"] == len(part)
    told = [line["loss"] for line in found["hardest"]]
    assert told == pytest.approx(loss[order[: len(told)]].tolist(), abs=1e-4)
    labels = dict(zip(part.index.tolist(), part.y.tolist(), strict=True))
    said = dict(zip(part.index.tolist(), scores.argmax(dim=1).tolist(), strict=True))
    for kind in KINDS:
        for line in found[kind]:
            assert line["label"] == labels[line["row"]]
            assert line["prediction"] == said[line["row"]]


def test_progress_grows_to_the_end_and_the_second_answer_is_there_at_once(
    planted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.worker.samples.SLICE_S", 1e-4)
    monkeypatch.setattr("workbench.worker.samples.BATCH", 64)
    shares: list[float] = []
    answers = Answers(planted["store"])

    def ask(store: Store, verb: str, payload: Any, timeout_s: float) -> Any:
        return answers.answer(verb, payload)

    slow = hardest(planted["store"], planted["run"], "test", progress=shares.append, asker=ask)
    assert len(shares) > 5
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert max(shares[:-1]) <= 1.0
    assert hardest(planted["store"], planted["run"], "test", progress=shares.append, asker=ask) == slow
    monkeypatch.undo()
    whole = found_by(planted, "test")
    assert [line["row"] for line in whole["oddest"]][:20] == [line["row"] for line in slow["oddest"]][:20]


def test_a_large_split_is_judged_by_a_draw(planted: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.worker.samples.MOST", 100)
    monkeypatch.setattr("workbench.worker.samples.BANK", 50)
    found = found_by(planted, "train")
    whole = Answers(planted["store"]).shelf.get(planted["run"]).data.train
    assert (found["judged"], found["of"]) == (100, len(whole))
    assert found == found_by(planted, "train"), "the same draw each time"


def test_a_changed_set_leaves_the_run_with_its_own(planted: dict[str, Any]) -> None:
    store = planted["store"]
    before = found_by(planted, "test")
    chosen = [line["row"] for line in before["mislabelled"][:5]]
    catalog.drop_images(store, "planted", chosen[:2])
    catalog.relabel(store, "planted", catalog.followed(store, "planted", 1, chosen[2:4]).tolist(), "7")
    try:
        assert found_by(planted, "test") == before
        now = catalog.followed(store, "planted", before["version"], chosen)
        assert (now[:2] == -1).all()
        new, old = (
            catalog.looking.open_arrays(store.datasets.get("planted", v).path) for v in (3, before["version"])
        )
        assert np.array_equal(new.images[now[2:]], old.images[chosen[2:]])
        names = store.datasets.get("planted").schema.classes
        assert [names[k] for k in new.labels[now[2:4]]] == ["7", "7"]
    finally:
        catalog.restore(store, "planted", 1)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"run": "nobody"}, RunError),
        ({"split": "../train"}, RunError),
        ({"split": "__class__"}, RunError),
        ({"checkpoint": "step-99999"}, RunError),
    ],
)
def test_a_bad_question_is_refused(
    planted: dict[str, Any], payload: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Answers(planted["store"]).answer("hardest", {"run": planted["run"], **payload})


def test_a_split_without_images_is_told(home: Path) -> None:
    store = open_store()
    run_id = taught(store, preset("mlp-tiny").spec.with_changes("training.epochs=1", "data.test=0"))
    with pytest.raises(RunError, match="its test split must have images"):
        Answers(store).answer("hardest", {"run": run_id, "split": "test"})
    store.close()


@pytest.mark.parametrize("name", ["mlp-tiny", "cnn-digits", "resnet-20"])
def test_any_network_has_features(name: str, home: Path) -> None:
    store = open_store()
    spec = preset(name).spec.with_changes("data.name=digits", "training.epochs=1", "data.limit=200")
    run_id = taught(store, spec)
    found = hardest(store, run_id, asker=lambda s, v, p, t: Answers(store).answer(v, p))
    assert len({round(line["oddness"], 6) for line in found["oddest"]}) > 10
    store.close()


@pytest.mark.parametrize("name", ["resmlp-table", "quantile-forecast"])
def test_of_numbers_the_farthest_off_come_first(name: str, home: Path) -> None:
    """Rows of a regression and windows of a series, against scores worked out here by torch alone."""
    store = open_store()
    run_id = taught(store, preset(name).spec.with_changes("training.steps=8"))
    answers = Answers(store)
    found = hardest(
        store, run_id, "test", asker=lambda s, v, p, t: json.loads(json.dumps(answers.answer(v, p)))
    )
    trained = answers.shelf.get(run_id)
    split, std = trained.data.test, getattr(trained.data, "std", np.ones(1))
    with torch.inference_mode():
        if name == "quantile-forecast":
            seen = np.stack([split.seen(i) for i in range(len(split))])
            true = split.truth(split.index[:, None] + np.arange(split.horizon))
            told = trained.model(torch.from_numpy(seen)).numpy().reshape(len(split), 12, 3)[:, :, 1:2]
        else:
            told, true = trained.model(torch.from_numpy(np.array(split.x))).numpy(), split.y.reshape(-1, 1)
            std = np.array([trained.data.encoder.target_scale])
    off = np.abs(told - true).reshape(len(split), -1).mean(axis=1)
    off = off if name == "quantile-forecast" else off * std
    assert [line["loss"] for line in found["hardest"]] == pytest.approx(np.sort(off)[::-1][:120], rel=1e-4)
    line = found["hardest"][0]
    place = int(off.argmax())
    assert line["row"] == split.index[place]
    if name == "quantile-forecast":
        ahead = split.index[place] + np.arange(split.horizon)
        own = split.truth(ahead)[:, 0] * std[0] + trained.data.mean[0]
        assert line["truth"] == pytest.approx(own, rel=1e-5)
    else:
        assert abs(line["label"] - line["prediction"]) == pytest.approx(line["loss"], rel=1e-4)
        assert "residual sugar" in line["text"]
    assert found["mislabelled"] == []
    store.close()


class Diverged(torch.nn.Module):
    """Tells no number, of some values or of all."""

    def __init__(self, n: int, bad: float, share: float) -> None:
        super().__init__()
        told = torch.where(torch.arange(n) < share * n, bad, 0.0)
        self.told = torch.nn.Parameter(told)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(len(x), 1) + self.told


@pytest.fixture
def holed(tmp_path: Path) -> Any:
    """A series of two variates in which a quarter was not measured, and steps 80 to 85 of neither."""
    draw = np.random.default_rng(0)
    values = draw.normal(size=(120, 2)).cumsum(axis=0)
    values[draw.random(values.shape) < 0.25] = np.nan
    values[80:86] = np.nan
    spec = DataSpec(name="s", validation=0.2, test=0.2, series=SeriesSpec(look_back=10, horizon=3))
    return load(folder_of(tmp_path, values), spec)


def found_in(holed: Any, bad: float, share: float) -> dict[str, Any]:
    """What is found in the validation of a series under a model that tells `bad`, and else 0, scaled."""
    model = Diverged(6, bad, share)
    task = Forecasting(ForecastingTask(), 3, holed.targets, holed.std, holed.naive, has_holes=True)
    row = SimpleNamespace(id="r", name="r", spec=SimpleNamespace(task=SimpleNamespace(kind="forecasting")))
    look = _Look(Trained(row, SimpleNamespace(name="best", step=1), model, holed, task, 0), "validation", 1)
    while (found := look.work()[1]) is None:
        pass
    return json.loads(json.dumps(found, allow_nan=False))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_forecaster_that_tells_no_numbers_is_refused(holed: Any, bad: float, share: float) -> None:
    """It stood as one without error, or with one of 3.4e38."""
    with pytest.raises(RunError, match="must answer with numbers"):
        found_in(holed, bad, share)
    assert len(found_in(holed, 0.0, 1.0)["hardest"]) > 10


def test_what_was_filled_in_is_no_truth_and_windows_of_nothing_else_are_left_out(
    holed: Any, tmp_path: Path
) -> None:
    """Against the file itself, which has holes where values were filled in."""
    found, split = found_in(holed, 0.0, 1.0), holed.validation
    given = pd.read_csv(tmp_path / "s.csv").drop(columns="time").to_numpy()
    windows = np.stack([given[at : at + 3] for at in split.index])  # (N, 3, 2)
    measured = ~np.isnan(windows).all(axis=(1, 2))
    assert found["judged"] == found["of"] == measured.sum() == len(split) - 4
    assert found["filled"] == 4
    means = np.nanmean(np.abs((windows[measured] - holed.mean) / holed.std), axis=(1, 2))
    off = dict(zip(split.index[measured], means, strict=True))
    for kind in ("hardest", "oddest"):
        assert {line["row"] for line in found[kind]} == set(split.index[measured])
        for line in found[kind]:
            assert np.array(line["truth"], float) == pytest.approx(
                given[line["row"] : line["row"] + 3, 0], rel=1e-4, abs=1e-4, nan_ok=True
            )
            assert line["loss"] == pytest.approx(off[line["row"]], rel=1e-4)
    assert any(None in line["truth"] for line in found["hardest"])


# ---------------------------------------------------------------- the two scores by themselves


def test_a_label_is_doubted_by_the_rule_of_the_paper() -> None:
    """Four samples, two classes; thresholds by hand: class 0: (0.9 + 0.2) / 2, class 1: (0.7 + 0.6) / 2."""
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    assert doubtful_labels(shares, np.array([0, 0, 1, 1])).tolist() == [1]
    assert doubtful_labels(np.eye(3), np.array([0, 1, 2])).tolist() == []
    assert doubtful_labels(np.full((4, 2), 0.5), np.array([0, 1, 0, 1])).tolist() == []


def test_a_class_without_samples_takes_no_doubts() -> None:
    shares = np.array([[0.3, 0.0, 0.7], [0.0, 0.3, 0.7]])
    assert doubtful_labels(shares, np.array([0, 1])).tolist() == []


def test_oddness_is_the_distance_to_the_tenth_nearest() -> None:
    rng = np.random.default_rng(0)
    bank, x = (F.normalize(torch.from_numpy(rng.normal(size=(n, 5))), dim=1) for n in (40, 7))
    none = torch.zeros(7, 40, dtype=torch.bool)
    by_hand = np.sort(np.linalg.norm(x.numpy()[:, None] - bank.numpy()[None], axis=2), axis=1)[:, 9]
    assert oddness(x, bank, none).numpy() == pytest.approx(by_hand, abs=1e-6)
    itself = torch.eye(40, dtype=torch.bool)
    others = np.sort(np.linalg.norm(bank.numpy()[:, None] - bank.numpy()[None], axis=2), axis=1)[:, 10]
    assert oddness(bank, bank, itself).numpy() == pytest.approx(others, abs=1e-6)


def test_a_set_of_few_images_has_oddness_too() -> None:
    bank = F.normalize(torch.randn(3, 4), dim=1)
    assert torch.isfinite(oddness(bank, bank, torch.eye(3, dtype=torch.bool))).all()
    assert oddness(bank[:1], bank[:1], torch.ones(1, 1, dtype=torch.bool)).tolist() == [0.0]


def test_images_of_a_former_version_that_is_gone_are_an_error(home: Path) -> None:
    store = open_store()
    catalog.copy(store, "digits", "mine")
    with pytest.raises(DataError):
        catalog.followed(store, "mine", 7, [0])
    store.close()
