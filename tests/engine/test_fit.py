"""What the loop does must be what a plain PyTorch loop does, and what it says of it must be true."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.engine.tiny import CNN, MLP, Asking, images, run, spec_of
from workbench.engine.batches import batch_sizes, normalised, order
from workbench.engine.checkpoint import model_tensors
from workbench.engine.evaluate import evaluate
from workbench.models.build import build
from workbench.records import Scalars
from workbench.specs.errors import DataError, SpecError
from workbench.tasks.choose import task_for

TORCH = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.99), eps=1e-7, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, momentum=0.5, weight_decay=0.01),
}
OURS = {
    "sgd": {"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "adam": {
        "kind": "adam", "lr": 0.01, "beta1": 0.8, "beta2": 0.99, "eps": 1e-7, "weight_decay": 0.01
    },
    "adamw": {"kind": "adamw", "lr": 0.01, "weight_decay": 0.1},
    "rmsprop": {"kind": "rmsprop", "lr": 0.01, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.01},
}  # fmt: skip


def bare_loop(spec, optimizer, clip: float) -> dict[str, list[float]]:
    """As the PyTorch tutorials write it, over the same batches."""
    data = images()
    model = build(spec.model, data.train.x.shape[1:], seed=spec.seed).train()
    opt = optimizer(model.parameters())
    x, y = normalised(data.train.x, data.mean, data.std), torch.from_numpy(data.train.y)
    lossf = nn.CrossEntropyLoss(label_smoothing=spec.task.label_smoothing)
    seen: dict[str, list[float]] = {"train/loss": [], "train/accuracy": [], "grad_norm": []}
    torch.manual_seed(spec.seed)
    for epoch in range(100):
        for rows in order(len(y), spec.seed, epoch).split(spec.training.batch_size):
            if len(seen["train/loss"]) == spec.training.steps:
                return seen
            opt.zero_grad()
            scores = model(x[rows])
            loss = lossf(scores, y[rows])
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
            opt.step()
            seen["train/loss"].append(loss.item())
            seen["train/accuracy"].append((scores.argmax(1) == y[rows]).float().mean().item())
            seen["grad_norm"].append(norm.item())
    return seen


@pytest.mark.parametrize("kind", sorted(TORCH))
@pytest.mark.parametrize("layers", [MLP, CNN], ids=["mlp", "cnn"])
def test_every_optimizer_trains_as_torchs_own_loop_does(kind: str, layers):
    spec = spec_of(layers, steps=40, optimizer=OURS[kind], clip_norm=0.5, task={"label_smoothing": 0.1})
    truth = bare_loop(spec, TORCH[kind], clip=0.5)
    seen = run(spec)
    for key, values in truth.items():
        assert np.allclose(seen.values(key), values, rtol=2e-3, atol=2e-4), key


def test_every_step_is_seen_once_and_in_order():
    seen = run(spec_of(epochs=6))
    for key in ("train/loss", "train/accuracy", "grad_norm", "lr"):
        assert list(seen.steps(key)) == list(range(1, 31)), key
        assert np.isfinite(seen.values(key)).all()
    first = next(r for f in seen.flushes for r in f.records if isinstance(r, Scalars))
    assert first.epochs[0] == 1 / 5  # 70 images in batches of 16 are 5 steps
    assert seen.flushes[-1].epoch == 6.0


def test_the_first_step_is_shown_at_once():
    seen = run(spec_of(epochs=3))
    assert [flush.step for flush in seen.flushes[:2]] == [0, 1]
    assert seen.flushes[0].records[0].kind == "started"
    assert len(seen.flushes[1].records[0]) == 1


def test_accuracies_are_whole_hits_of_each_batch_also_of_the_last_partial_one():
    seen = run(spec_of(epochs=2))
    sizes = np.array([16, 16, 16, 16, 6] * 2)
    hits = seen.values("train/accuracy") * sizes
    assert np.allclose(hits, hits.round())


def test_the_learning_rate_is_the_schedules():
    spec = spec_of(
        epochs=10, schedule={"kind": "cosine", "warmup": 0.1}, optimizer={"kind": "adam", "lr": 0.5}
    )
    expected = [0.5 * spec.training.schedule.factor(step, 50, 5) for step in range(50)]
    assert np.allclose(run(spec).values("lr"), expected, rtol=1e-15)


def test_clipping_leaves_the_true_norm_on_the_curve():
    free, clipped = run(spec_of(steps=1)), run(spec_of(steps=1, clip_norm=1e-3))
    assert free.values("grad_norm") == clipped.values("grad_norm")
    assert free.values("grad_norm")[0] > 1e-3


def test_validation_marks_are_those_of_the_model_at_that_step():
    seen, data = run(spec_of(epochs=3)), images()
    marks = evaluate(seen.model, data.validation, data, task_for(spec_of().task, 3), device="cpu")
    assert seen.values("val/loss")[-1] == pytest.approx(marks.loss, rel=1e-6)
    assert seen.values("val/accuracy")[-1] == marks.accuracy
    assert list(seen.steps("val/loss")) == [5, 10, 15]
    last = seen.panels("confusion")[-1].data
    assert last["matrix"] == marks.confusion.tolist()
    assert last["classes"] == ["bars", "dots", "rings"]


def test_validation_comes_as_often_as_asked_and_at_the_end():
    assert list(run(spec_of(steps=12, validate_every=0.4)).steps("val/loss")) == [2, 4, 6, 8, 10, 12]
    assert list(run(spec_of(steps=7, validate_every=1)).steps("val/loss")) == [5, 7]


def test_the_best_checkpoint_has_the_lowest_validation_loss(every_step):
    seen = run(spec_of(epochs=12, optimizer={"kind": "sgd", "lr": 1.0}))
    losses, best = seen.values("val/loss"), seen.checkpoint("best")
    assert best.metrics["val/loss"] == losses.min()
    assert best.step == seen.steps("val/loss")[losses.argmin()]
    assert best.step < seen.checkpoint("last").step == 60


def test_the_best_checkpoint_is_by_accuracy_where_early_stopping_watches_it():
    seen = run(spec_of(epochs=12, early_stopping={"metric": "val/accuracy", "patience": 100}))
    assert seen.checkpoint("best").metrics["val/accuracy"] == seen.values("val/accuracy").max()


def test_the_weights_of_a_checkpoint_fit_a_fresh_model():
    seen, spec = run(spec_of(epochs=2)), spec_of(epochs=2)
    blob = seen.flushes[-1].checkpoints[-1].blob
    fresh = build(spec.model, (1, 6, 6)).eval()
    fresh.load_state_dict(model_tensors(blob))
    x = torch.randn(4, 1, 6, 6)
    assert torch.equal(fresh(x), seen.model.eval()(x))


def test_training_ends_at_the_loss_that_was_asked_for():
    seen = run(spec_of(CNN, epochs=200, stop_at_loss=0.9, optimizer={"kind": "adam", "lr": 0.01}))
    assert seen.outcome == "finished"
    assert seen.values("val/loss")[-1] <= 0.9 < seen.values("val/loss")[:-1].min()
    assert "at or below 0.9" in seen.events("early_stop")[0].text


def test_early_stopping_waits_for_its_patience():
    # A rate this small changes nothing, and min_delta asks for more than nothing.
    spec = spec_of(
        epochs=50, optimizer={"kind": "sgd", "lr": 1e-9}, early_stopping={"patience": 4, "min_delta": 0.5}
    )
    seen = run(spec)
    assert len(seen.values("val/loss")) == 1 + 4
    assert seen.events("early_stop")[0].text == "val/loss has not improved for 4 validations"


def test_a_plateau_lowers_the_rate_as_torchs_scheduler_does(every_step):
    spec = spec_of(
        epochs=14,
        optimizer={"kind": "sgd", "lr": 0.9},
        schedule={"kind": "plateau", "patience": 1, "gamma": 0.5},
    )
    seen = run(spec)
    rates = seen.values("lr")[::5]  # at the start of each epoch
    torchs = torch.optim.SGD([torch.zeros(1)], lr=0.9)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        torchs, factor=0.5, patience=1, threshold=0, threshold_mode="abs"
    )
    expected = []
    for loss in seen.values("val/loss"):
        expected.append(torchs.param_groups[0]["lr"])
        plateau.step(loss)
    assert list(rates) == expected
    assert rates[-1] < 0.9
    assert len(seen.events("lr_drop")) == len(set(rates)) - 1 + (expected[-1] != torchs.param_groups[0]["lr"])


def test_a_loss_that_is_no_number_is_kept_and_told_once():
    spec = spec_of(CNN, steps=60, optimizer={"kind": "sgd", "lr": 10, "momentum": 0.99})
    model = build(spec.model, (1, 6, 6), seed=0)
    with torch.no_grad():
        model[0].weight.mul_(1e18)
    seen = run(spec, model=model)
    losses, steps = seen.values("train/loss"), seen.steps("train/loss")
    assert len(losses) == 60
    first = steps[~np.isfinite(losses)][0]
    (warning,) = seen.events("warning")
    assert warning.step == first
    assert f"since step {first:,}" in warning.text
    assert seen.outcome == "finished"


def test_a_last_batch_of_one_joins_the_one_before_where_batch_norm_needs_it():
    data = images(n=33)
    assert len(run(spec_of(MLP, epochs=1), data).values("train/loss")) == 2
    assert len(run(spec_of(CNN, epochs=1), data).values("train/loss")) == 3
    assert batch_sizes(33, 16, join_single=True) == [16, 17]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_too(precision: str):
    spec = spec_of(CNN, epochs=20, precision=precision, optimizer={"kind": "adam", "lr": 0.01})
    losses = run(spec).values("train/loss")
    assert losses[-5:].mean() < 0.8 * losses[:5].mean()


def test_errors_of_torch_pass_through_as_they_are():
    class Broken(nn.Linear):
        def forward(self, x):
            raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        run(spec_of(steps=3), model=nn.Sequential(nn.Flatten(), Broken(36, 3)))


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(SpecError, match="a model must have weights to train"):
        run(spec_of(steps=3), model=nn.Sequential(nn.Flatten()))
    with pytest.raises(DataError, match="the training split is empty"):
        run(spec_of(steps=3), images(n=0), model=nn.Linear(1, 1))


def test_a_probe_that_fails_does_not_end_the_run(every_step):
    class Blind:
        looks = 0

        def due(self, active_s, spent_s):
            return True

        def look(self, model, step, epoch, time):
            self.looks += 1
            if step == 3:
                raise ValueError("cannot see")
            return []

    watch = Blind()
    seen = run(spec_of(steps=9), watch=watch)
    assert seen.outcome == "finished"
    assert watch.looks == 4  # steps 0, 1, 2 and 3
    (warning,) = seen.events("warning")
    assert warning.text == "Looking inside failed and is turned off: cannot see"


def test_a_convolution_in_the_fastest_memory_format_is_saved_in_the_usual_one():
    seen, spec = run(spec_of(CNN, steps=10)), spec_of(CNN)
    assert seen.model[0].weight.stride()[1] == 1  # channels last
    weights = model_tensors(seen.flushes[-1].checkpoints[-1].blob)
    assert weights["0.weight"].is_contiguous()
    fresh = build(spec.model, (1, 6, 6)).eval()
    fresh.load_state_dict(weights)
    x = torch.randn(4, 1, 6, 6)
    assert torch.allclose(fresh(x), seen.model.eval()(x), atol=1e-6)


def test_without_validation_images_the_last_model_is_the_best():
    seen = run(spec_of(epochs=2), images(n_validation=0))
    assert len(seen.values("val/loss")) == 0
    assert seen.checkpoint("best").step == seen.checkpoint("last").step == 10


def test_a_request_to_stop_ends_with_a_validation_and_the_last_checkpoint(every_step):
    seen = run(spec_of(steps=1000), control=Asking({7: "stop"}))
    assert seen.outcome == "stopped"
    assert [e.kind for e in seen.events("stopping", "stopped", "finished")] == ["stopping", "stopped"]
    assert seen.checkpoint().step == 7 == seen.steps("val/loss")[-1]
    assert [f.phase for f in seen.flushes[-2:]] == ["stopping", "stopping"]


def test_a_paused_run_can_be_stopped(every_step):
    control = Asking({7: "pause"}, then=["nonsense", "stop"])
    seen = run(spec_of(steps=1000), control=control)
    assert seen.outcome == "stopped"
    assert next(f for f in seen.flushes if f.phase == "paused").checkpoints[-1].step == 7
    assert seen.flushes[-1].step == 7


def test_a_pause_is_not_counted_as_work(every_step, monkeypatch):
    import time

    paused = [0.0]
    monkeypatch.setattr("workbench.engine.meter.perf_counter", lambda: time.perf_counter() + paused[0])

    class Slow(Asking):
        def wait(self) -> None:
            super().wait()
            paused[0] += 10_000.0

    seen = run(spec_of(steps=12), control=Slow({5: "pause"}, then=["resume"]))
    assert paused == [10_000.0]
    assert seen.checkpoint().meta["clocks"]["active_s"] < 10_000.0
    assert seen.outcome == "finished"


def test_an_unknown_request_is_answered(every_step):
    seen = run(spec_of(steps=9), control=Asking({3: "dance"}))
    assert "cannot be asked to 'dance'" in seen.events("warning")[0].text
    assert seen.outcome == "finished"


def test_what_the_consumer_takes_is_counted_as_telemetry():
    import time

    slow = run(spec_of(steps=300), each=lambda flush: time.sleep(0.05))
    counted = [f for f in slow.flushes[1:-1] if not f.checkpoints]  # the opening is launch
    clocks = slow.checkpoint().meta["clocks"]
    assert clocks["spent_s"] >= 0.05 * len(counted) >= 0.05
    shares = slow.values("telemetry/share")
    assert ((shares >= 0) & (shares <= 1)).all()


def test_progress_is_told():
    seen = run(spec_of(epochs=40))
    last = seen.flushes[-1]
    assert (last.step, last.total_steps, last.total_epochs, last.eta_s) == (200, 200, 40.0, 0.0)
    assert last.device.startswith("cpu")
    etas = [f.eta_s for f in seen.flushes[2:-1]]
    assert all(eta is not None and 0 <= eta < 600 for eta in etas)
    assert (seen.values("throughput/samples_per_s") > 0).all()


def test_samples_are_first_ones_and_sure_mistakes():
    seen = run(spec_of(epochs=1, watch={"samples": 8}))
    panel = seen.panels("samples")[-1]
    items = panel.data["items"]
    assert panel.arrays["images"].shape == (8, 6, 6)
    assert [item["index"] for item in items[:4]] == [70, 71, 72, 73]
    mistakes = [item["probabilities"][0][1] for item in items[4:] if not item["correct"]]
    assert mistakes == sorted(mistakes, reverse=True)
    assert mistakes
    for item in items:
        assert item["correct"] == (item["label"] == item["prediction"] == item["probabilities"][0][0])
        assert math.fsum(p for _, p in item["probabilities"]) == pytest.approx(1, abs=1e-5)
