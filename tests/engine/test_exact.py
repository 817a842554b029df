"""The same spec and seed give the same run, bit for bit on a CPU: twice, watched, paused and resumed."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from tests.engine.tiny import CNN, MLP, Asking, Script, Seen, images, run, spec_of
from workbench.engine.batches import normalised
from workbench.engine.checkpoint import Checkpoint, equal, from_bytes, to_bytes
from workbench.engine.control import Request
from workbench.probes.watch import Watcher
from workbench.specs.errors import RunError

OPTIMIZERS = {
    "sgd": {"kind": "sgd", "momentum": 0.0},
    "momentum": {"kind": "sgd", "weight_decay": 0.01},
    "nesterov": {"kind": "sgd", "nesterov": True},
    "adam": {"kind": "adam", "lr": 0.02, "weight_decay": 0.01},
    "adamw": {"kind": "adamw", "lr": 0.02},
    "rmsprop": {"kind": "rmsprop", "lr": 0.02},
    "rmsprop+momentum": {"kind": "rmsprop", "lr": 0.01, "momentum": 0.9},
}
DEEP = [  # several channels, so that the memory format matters
    {"kind": "conv2d", "out_channels": 8, "padding": 1},
    {"kind": "batch_norm"},
    {"kind": "relu"},
    {"kind": "conv2d", "out_channels": 6, "bias": False},
    {"kind": "dropout2d", "p": 0.2},
    {"kind": "flatten"},
    {"kind": "linear", "out_features": 3},
]
SCHEDULES = {
    "constant": {"kind": "constant", "warmup": 0.1},
    "step": {"kind": "step", "every": 7, "gamma": 0.5},
    "cosine": {"kind": "cosine", "warmup": 0.05},
    "one_cycle": {"kind": "one_cycle"},
    "plateau": {"kind": "plateau", "patience": 0, "gamma": 0.5},
}

VARIANTS = {
    "plain": {},
    "ema": {"ema": 0.95},
    "accumulation": {"accumulation_steps": 3},
    "augmentation": {"augment": [{"kind": "flip"}, {"kind": "noise", "p": 1.0}, {"kind": "mixup", "p": 0.7}]},
    "frozen layer": {"freeze": [1]},
}
# Every optimizer meets every schedule and every variant, and every schedule every variant; with the
# plain runs of all pairs and not the whole product, which would only take longer.
CELLS = [
    (optimizer, schedule, variant)
    for i, optimizer in enumerate(sorted(OPTIMIZERS))
    for j, schedule in enumerate(sorted(SCHEDULES))
    for variant in dict.fromkeys(["plain", sorted(VARIANTS)[(i + j) % len(VARIANTS)]])
]


def same_losses(one: Seen, other: np.ndarray) -> bool:
    return np.array_equal(one.values("train/loss"), other, equal_nan=True)


def test_the_same_spec_and_seed_give_equal_losses_bit_for_bit():
    spec = spec_of(steps=60)
    one, two = run(spec), run(spec)
    assert len(one.values("train/loss")) == 60
    for key in ("train/loss", "train/accuracy", "grad_norm", "lr", "val/loss", "val/accuracy"):
        assert np.array_equal(one.values(key), two.values(key)), key
    assert equal(one.checkpoint(), two.checkpoint())


def test_another_seed_gives_another_run():
    assert not same_losses(run(spec_of(steps=5)), run(spec_of(steps=5, seed=1)).values("train/loss"))


def test_probes_at_every_step_change_nothing(every_step):
    layers = [*CNN[:2], {"kind": "batch_norm"}, {"kind": "dropout", "p": 0.5}, *CNN[2:]]
    spec = spec_of(layers, steps=30, watch={"interval": 0.05, "budget": 0.5})
    watch = Watcher.over(spec.model, spec.watch, images(), normalised)
    watch.due = lambda active_s, spent_s: True  # type: ignore[method-assign]
    plain, watched = run(spec), run(spec, watch=watch)
    looks = [r for f in watched.flushes for r in f.records if getattr(r, "topic", "") == "maps/0"]
    assert len(looks) >= 30
    assert same_losses(plain, watched.values("train/loss"))
    assert equal(plain.checkpoint(), watched.checkpoint())


def test_the_cells_cover_every_pair():
    pairs = [{(c[a], c[b]) for c in CELLS} for a, b in ((0, 1), (0, 2), (1, 2))]
    sizes = len(OPTIMIZERS), len(SCHEDULES), len(VARIANTS)
    assert [len(found) for found in pairs] == [
        sizes[0] * sizes[1],
        sizes[0] * sizes[2],
        sizes[1] * sizes[2],
    ]


@pytest.mark.parametrize(("optimizer", "schedule", "variant"), CELLS, ids=lambda part: part.replace(" ", "_"))
def test_200_steps_are_100_and_a_reload_and_100(optimizer: str, schedule: str, variant: str):
    spec = spec_of(
        **VARIANTS[variant],
        steps=200,
        optimizer=OPTIMIZERS[optimizer],
        schedule=SCHEDULES[schedule],
        validate_every=1,
        clip_norm=1.0,
    )
    whole = run(spec)
    take, stop = Request("step", {"steps": 99}), Request("stop")
    first = run(spec, control=Script({1: [take]}, paused=[[stop]]))
    assert first.outcome == "stopped"
    assert first.checkpoint().step == 100
    second = run(spec, resume=first.checkpoint())
    both = np.concatenate([first.values("train/loss"), second.values("train/loss")])
    assert same_losses(whole, both)
    assert list(second.steps("train/loss")) == list(range(101, 201))
    assert np.array_equal(whole.values("lr")[100:], second.values("lr"))
    assert equal(whole.checkpoint(), second.checkpoint())
    assert whole.checkpoint().meta["progress"] == second.checkpoint().meta["progress"]
    if schedule == "plateau":  # or the test would say nothing about it
        assert whole.values("lr")[-1] < whole.values("lr")[0]


@pytest.mark.parametrize("layers", [MLP, DEEP], ids=["mlp", "cnn"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_checkpoint_of_any_moment_continues_exactly(layers, precision: str, every_step):
    spec = spec_of(layers, steps=40, precision=precision, task={"label_smoothing": 0.1})
    whole = run(spec)
    for step in (1, 5, 13, 39):  # 5 steps make an epoch
        part = run(spec, control=Asking({step: "stop"}))
        rest = run(spec, resume=part.checkpoint())
        assert np.array_equal(whole.values("train/loss")[step:], rest.values("train/loss"))
        assert equal(whole.checkpoint(), rest.checkpoint())


def test_early_stopping_survives_a_reload(every_step):
    spec = spec_of(
        steps=400, optimizer={"kind": "sgd", "lr": 1.0}, early_stopping={"patience": 3}, validate_every=1
    )
    whole = run(spec)
    stopped_at = whole.flushes[-1].step
    assert whole.events("early_stop")
    assert stopped_at > 12
    part = run(spec, control=Asking({stopped_at - 7: "stop"}))
    rest = run(spec, resume=part.checkpoint())
    assert rest.flushes[-1].step == stopped_at
    assert equal(whole.checkpoint(), rest.checkpoint())


def test_a_paused_run_trains_as_if_it_had_not_been(every_step):
    spec = spec_of(steps=30)
    plain = run(spec)
    paused = run(spec, control=Asking({10: "pause"}, then=["resume"]))
    assert [e.kind for e in paused.events("paused", "resumed")] == ["paused", "resumed"]
    assert same_losses(plain, paused.values("train/loss"))


@pytest.mark.parametrize("kill", [1, 8, 21, 39])
def test_the_fp16_loss_scale_survives_a_reload(kill: int, every_step, monkeypatch):
    # Here it begins so high that the first steps overflow and are skipped, and grows every four steps.
    spec, data = spec_of(steps=40, precision="fp16", optimizer={"kind": "sgd", "lr": 0.02}), images()
    grown = partial(torch.amp.GradScaler, init_scale=2.0**20, growth_interval=4)
    monkeypatch.setattr(torch.amp, "GradScaler", grown)
    whole = run(spec, data)
    part = run(spec, data, control=Asking({kill: "stop"})).checkpoint()
    rest = run(spec, data, resume=from_bytes(to_bytes(part)))
    scaler = whole.checkpoint().meta["scaler"]
    assert 0 < scaler["scale"] != 2.0**20
    assert np.isfinite(whole.values("train/loss")).all()
    assert not np.isfinite(whole.values("grad_norm")).all()  # skipped steps, seen as what they were
    assert scaler == rest.checkpoint().meta["scaler"]
    assert np.array_equal(whole.values("train/loss")[kill:], rest.values("train/loss"))
    assert equal(whole.checkpoint(), rest.checkpoint())
    # And it matters: without it, the rest is another run.
    forgotten = Checkpoint(part.tensors, {**part.meta, "scaler": None})
    other = run(spec, data, resume=forgotten).checkpoint()
    assert other.meta["scaler"] != scaler or not equal(other, whole.checkpoint())


def test_a_run_killed_between_early_stopping_and_its_end_is_not_trained_further(every_step):
    for rule in ({"early_stopping": {"patience": 3}}, {"stop_at_loss": 0.9}):
        spec = spec_of(epochs=60, optimizer={"kind": "sgd", "lr": 0.4}, **rule)
        caught: list[bytes] = []

        def keep(flush, caught=caught):
            caught.extend(s.blob for s in flush.checkpoints if s.name == "last")

        whole = run(spec, each=keep)
        (end,) = whole.events("early_stop")
        assert end.step < 300
        last = from_bytes(caught[-1])
        assert last.step == end.step
        again = run(spec, resume=last)
        assert again.outcome == "finished"
        assert again.flushes[-1].step == end.step
        assert len(again.values("train/loss")) == 0
        assert equal(again.checkpoint(), whole.checkpoint())
        # With the rule taken back it goes on.
        free = run(
            spec.with_changes("training.early_stopping=null", "training.stop_at_loss=null"), resume=last
        )
        assert free.flushes[-1].step == 300


def test_a_longer_run_goes_on_from_a_finished_one():
    done = run(spec_of(steps=10)).checkpoint()
    more = run(spec_of(steps=25), resume=done)
    assert list(more.steps("train/loss")) == list(range(11, 26))
    assert np.array_equal(run(spec_of(steps=25)).values("train/loss")[10:], more.values("train/loss"))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"batch_size": 8}, "steps per epoch"),
        ({"optimizer": {"kind": "sgd"}}, "optimizer"),
        ({"layers": CNN}, "layers"),
    ],
)
def test_a_checkpoint_of_other_work_is_refused(change, what):
    done = run(spec_of(steps=3)).checkpoint()
    with pytest.raises(RunError, match=rf"needs the same {what}.*weights instead"):
        run(spec_of(**{"steps": 5, **change}), resume=done)


def test_resuming_what_has_ended_only_judges_it_again():
    done = run(spec_of(steps=10)).checkpoint()
    again = run(spec_of(steps=10), resume=done)
    assert again.outcome == "finished"
    assert len(again.values("train/loss")) == 0
    assert equal(done, again.checkpoint())


def test_equal_tells_checkpoints_apart():
    done = run(spec_of(steps=3)).checkpoint()
    other = {name: t + 1 if name == "model/1.weight" else t for name, t in done.tensors.items()}
    assert equal(done, from_bytes(to_bytes(done)))
    assert not equal(done, Checkpoint(other, done.meta))
