"""The preflight of texts: its figures, and the prediction against them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from tests.engine.texts import Letters, Part, Texts, ends, labelled, reversals, stream
from workbench.engine import evaluate, preflight, some, texts
from workbench.engine.evaluate import evaluating
from workbench.engine.feeds import feed_for
from workbench.engine.fit import fit
from workbench.engine.preflight import Measured
from workbench.engine.trainer import Trainer
from workbench.models.build import build
from workbench.specs import data_memory, memory, starts
from workbench.specs.base import Tokens
from workbench.specs.data_memory import extent_of
from workbench.specs.memory import largest_batch, predict
from workbench.specs.run import RunSpec, from_dict
from workbench.tasks.choose import Task, task_for

KINDS = ("classification", "language_model", "translation")


def spec_of(kind: str, layers: Any = None, decoder: Any = (), tied: bool = False, **training: Any) -> RunSpec:
    """A small model of that task, a batch of 16, one thread."""
    vocabulary = Letters.size
    if layers is None:
        layers = {
            "classification": [
                {"kind": "embedding", "embedding_dim": 48}, {"kind": "lstm", "hidden_size": 32},
                {"kind": "sequence_pool", "mode": "max"}, {"kind": "linear", "out_features": 2},
            ],
            "language_model": starts.gpt(vocabulary, width=64),
            "translation": starts.encoder(width=64),
        }[kind]  # fmt: skip
        decoder = starts.decoder(vocabulary, width=64) if kind == "translation" else ()
    task = {"kind": kind, **({"sample_tokens": 20} if kind == "language_model" else {})}
    short = {"batch_size": 16, "device": "cpu", "threads": 1, "steps": 30, "epochs": None}
    return from_dict({
        "data": {"text": {"length": 32}}, "task": task, "training": {**short, **training},
        "model": {"layers": layers, "decoder": list(decoder), "tie_embeddings": tied},
    })  # fmt: skip


def data_of(kind: str, n: int = 96, longest: int = 24) -> Texts:
    if kind == "classification":
        return labelled(n, longest)
    return stream(n * 10, 24) if kind == "language_model" else reversals(n, longest)


def task_of(spec: RunSpec) -> Task:
    return task_for(spec.task, 2 if spec.task.kind == "classification" else Letters.size)


def flown(spec: RunSpec, data: Texts, most_s: float = 3600.0) -> Measured:
    """most_s: by default so long that the whole batch is tried."""
    shares: list[float] = []
    model = build(spec.model, data.shape, seed=0)
    found = preflight.preflight(
        model, data, task_of(spec), spec, lambda _, share: shares.append(share), most_s=most_s
    )
    assert shares == sorted(shares), "progress goes forward"
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [4, 32])
@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop"])
def test_the_predicted_peak_of_texts_is_within_15_percent_of_the_measured(
    kind: str, batch: int, optimizer: str
) -> None:
    spec = spec_of(kind, batch_size=batch, optimizer={"kind": optimizer})
    data = data_of(kind)
    seen = flown(spec, data).memory
    sizes = some.sizes_of(data, spec)
    free = psutil.virtual_memory().available
    said = predict(spec, data.shape, task_of(spec).n_classes, sizes, free=free)
    assert said.total == pytest.approx(seen.total, rel=0.15)
    assert said.activations + said.checkpoints == pytest.approx(seen.activations + seen.checkpoints, rel=0.15)
    assert said.weights == pytest.approx(seen.weights, rel=0.02)
    assert said.optimizer == pytest.approx(seen.optimizer, rel=0.02)


def test_shared_weights_count_once() -> None:
    spec, data = spec_of("language_model", tied=True), data_of("language_model")
    seen = flown(spec, data).memory
    said = predict(spec, data.shape, Letters.size, some.sizes_of(data, spec), free=2**33)
    other = flown(spec_of("language_model"), data).memory
    assert said.weights == pytest.approx(seen.weights, rel=0.02)
    assert other.weights - seen.weights == pytest.approx(4 * 64 * Letters.size, rel=0.02)
    assert said.optimizer == pytest.approx(seen.optimizer, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_what_texts_take_is_what_their_feeds_hold(kind: str) -> None:
    spec, data = spec_of(kind), data_of(kind)
    sizes, task = some.sizes_of(data, spec), task_of(spec)
    device = torch.device("cpu")
    feeds = {name: feed_for(getattr(data, name), data, task, device) for name in ("train", "validation")}
    assert {name: sizes[name] for name in feeds} == {name: feed.n for name, feed in feeds.items()}
    held = sum(feed.held_bytes for feed in feeds.values()) + 16 * feeds["train"].n
    assert memory.data_bytes(spec, data.shape, sizes, "cuda", 2**33) == held


@pytest.mark.parametrize("kind", KINDS)
def test_the_widest_batch_that_is_predicted_is_the_widest_of_an_epoch(kind: str) -> None:
    spec, data = spec_of(kind), data_of(kind)
    trainer = Trainer(build(spec.model, data.shape, seed=0), data, task_of(spec), spec)
    widths = [trainer.train.batch(rows)[0].shape[-1] for rows, _ in trainer.rest_of_epoch()]
    said = extent_of(spec, data.shape, some.sizes_of(data, spec), "train", 16)
    assert said is not None
    assert said.width == max(widths)


def test_a_text_shorter_than_the_widest_window_counts_as_long_as_that() -> None:
    layers = [{"kind": "embedding"}, {"kind": "conv1d", "kernel_size": 9},
              {"kind": "sequence_pool"}, {"kind": "linear", "out_features": 2}]  # fmt: skip
    spec, data = spec_of("classification", layers), labelled(40, longest=4)
    wide = Texts(data.train, data.validation, Tokens(24, Letters.size), data.classes)
    said = extent_of(spec, wide.shape, some.sizes_of(wide, spec), "train", 16)
    assert said is not None
    assert said.width == 9


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_model_of_texts_is_tried_on_fewer_and_reckoned_up(kind: str) -> None:
    spec, data = spec_of(kind, batch_size=64), data_of(kind, 200)
    hurried, whole = (flown(spec, data, most_s) for most_s in (0.0, 3600.0))
    assert (hurried.steps, hurried.tried, whole.tried) == (1, 8, 64)
    assert hurried.memory.total == pytest.approx(whole.memory.total, rel=0.15)
    assert (
        whole.step_s / 30 < hurried.step_s < 30 * whole.step_s
    )  # milliseconds, on a machine that may be busy


@pytest.mark.parametrize("kind", KINDS)
def test_only_some_texts_are_tried_and_counts_are_those_of_all(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, data = spec_of(kind, epochs=2, steps=None), data_of(kind, 400)
    whole = flown(spec, data)
    monkeypatch.setattr(preflight, "SOME", 40)
    part = flown(spec, data)
    trainer = Trainer(build(spec.model, data.shape, seed=0), data, task_of(spec), spec)
    for found in (whole, part):
        assert found.steps_per_epoch == trainer.steps_per_epoch
        assert found.total_steps == trainer.total_steps
    assert part.validations == whole.validations
    assert part.memory.total == pytest.approx(whole.memory.total, rel=0.05), (
        "the longest ones are always tried"
    )


def test_parts_of_a_set_keep_whole_texts() -> None:
    spec, data = spec_of("translation"), data_of("translation", 50)
    part = some.some_of(data, spec, {"train": 10, "validation": 3})
    assert (len(part.train), len(part.validation)) == (10, 3)
    train: Any = part.train
    for i in range(10):
        row = i * 5
        ours = train.ids.values[train.ids.offsets[i] : train.ids.offsets[i + 1]]
        theirs = data.train.ids.values[data.train.ids.offsets[row] : data.train.ids.offsets[row + 1]]
        assert ours.tolist() == theirs.tolist()
    most = some.longest(data, spec, "train", 7)
    lengths = np.sort(np.diff(data.train.ids.offsets))
    assert np.sort(np.diff(most.ids.offsets)).tolist() == lengths[-7:].tolist()


def test_the_forecast_holds_what_is_written_at_validations() -> None:
    spec, data = spec_of("language_model"), data_of("language_model")
    silent = spec.with_changes("task.sample_tokens=0")
    speaking = flown(spec, data)
    assert speaking.writing_s > 0
    assert flown(silent, data).writing_s == 0
    assert speaking.eta_s > speaking.total_steps * speaking.step_s
    assert flown(spec_of("translation"), data_of("translation")).writing_s > 0
    assert flown(spec_of("classification"), data_of("classification")).writing_s == 0


@pytest.mark.slow  # it compares two times, so nothing else should run beside it
@pytest.mark.parametrize("kind", KINDS)
def test_the_forecast_of_texts_is_near_the_run_it_is_of(kind: str) -> None:
    spec, data = spec_of(kind, steps=60), data_of(kind)
    said = flown(spec, data)
    began = time.perf_counter()
    for _ in fit(build(spec.model, data.shape, seed=0), data, task_of(spec), spec):
        pass
    took = time.perf_counter() - began
    assert 0.1 * took < said.eta_s < 5 * took, (said.eta_s, took)


def test_the_largest_batch_of_texts_fits_and_one_more_does_not() -> None:
    spec, data = spec_of("classification"), data_of("classification", 400)
    facts = (data.shape, 2, some.sizes_of(data, spec))
    room = 12_000_000
    most = largest_batch(spec, *facts, device="cpu", free=2**33, room=room)
    assert 1 < most < 400

    def total(batch: int) -> int:
        changed = spec.with_changes(f"training.batch_size={batch}")
        return predict(changed, *facts, device="cpu", free=2**33).total

    assert total(most) <= room < total(most + 1)


def test_the_constants_of_texts_are_the_engines() -> None:
    assert (memory.JUDGED_TOKENS["cpu"], memory.JUDGED_TOKENS_GPU) == (
        evaluate.CPU_TOKENS,
        evaluate.GPU_TOKENS,
    )
    assert data_memory.NARROWEST == texts.NARROWEST
    assert data_memory.FLOAT_SHARE == texts.SHARE


def test_nothing_of_a_try_stays_in_the_model() -> None:
    spec, data = spec_of("language_model"), data_of("language_model")
    model = build(spec.model, data.shape, seed=0)
    before = torch.get_rng_state()
    preflight.preflight(model, data, task_of(spec), spec, lambda *_: None)
    with evaluating(model):
        assert torch.isfinite(model(torch.full((1, 4), 5))).all()
    assert torch.get_rng_state().shape == before.shape


def test_one_text_is_enough_to_try() -> None:
    spec = spec_of("classification")
    few = Texts(Part(ends([[4]]), np.zeros(1, np.int64)), Part(ends([]), np.zeros(0, np.int64)),
                Tokens(24, Letters.size), ("a", "b"))  # fmt: skip
    found = flown(spec, few)
    assert (found.steps_per_epoch, found.validations) == (1, 0)
    assert np.isfinite(found.step_s)
