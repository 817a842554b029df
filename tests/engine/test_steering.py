"""A run is its spec, its seed and its ledger: what was changed at work is told, kept, and reproduces it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.tiny import CNN, MLP, Script, change, images, run, spec_of
from workbench.engine.batches import normalised, order
from workbench.engine.checkpoint import equal
from workbench.engine.control import Request, orders
from workbench.engine.fit import fit
from workbench.engine.ledger import Ledger
from workbench.engine.team import END, Order, Team
from workbench.engine.trainer import Trainer
from workbench.models.build import build
from workbench.records import Change
from workbench.specs.errors import SpecError
from workbench.specs.steer import STEERABLE, steered
from workbench.tasks.choose import task_for
from workbench.worker.crew import followed

FLIP, BLEND = {"kind": "flip", "p": 0.5}, {"kind": "mixup", "p": 1.0, "strength": 0.4}
DEEP = [
    {"kind": "conv2d", "out_channels": 4, "padding": 1},
    {"kind": "batch_norm"},
    {"kind": "relu"},
    {"kind": "conv2d", "out_channels": 3},
    {"kind": "dropout2d", "p": 0.2},
    {"kind": "flatten"},
    {"kind": "linear", "out_features": 3},
]
OPTIMIZERS = {
    "sgd": {"kind": "sgd", "lr": 0.05},
    "adam": {"kind": "adam", "lr": 0.01},
    "adamw": {"kind": "adamw", "lr": 0.01},
    "rmsprop": {"kind": "rmsprop", "lr": 0.003, "momentum": 0.5},
}
# Every steerable path, and each of them there and back where that is another way through the code.
STEERED = {
    4: [change(lr=0.002)],
    7: [change(freeze=[0]), change(weight_decay=0.05)],
    9: [change(augment=[FLIP])],
    13: [change(clip_norm=0.5, accumulation_steps=3)],
    17: [change(freeze=[1, 3])],
    20: [change(augment=[FLIP, BLEND], lr=0.01)],
    26: [change(freeze=[])],
    29: [change(early_stopping={"patience": 500, "metric": "val/accuracy"})],
    31: [change(augment=[], accumulation_steps=1)],
    33: [change(stop_at_loss=1e-6), change(clip_norm=None)],
    36: [change(lr=0.004, early_stopping=None)],
}


def steered_run(optimizer: str = "adam", **more):
    spec = spec_of(
        DEEP, steps=45, optimizer=OPTIMIZERS[optimizer], schedule={"kind": "cosine"}, ema=0.9, **more
    )
    return spec, run(spec, control=Script(STEERED))


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_fresh_run_with_the_ledger_is_the_steered_run_bit_for_bit(optimizer: str, every_step):
    spec, seen = steered_run(optimizer)
    told = {path for line in seen.ledger for path in line.changes}
    assert told == set(STEERABLE)
    assert not np.array_equal(seen.values("train/loss"), run(spec).values("train/loss"))
    again = run(spec, ledger=seen.ledger)
    for key in ("train/loss", "train/accuracy", "grad_norm", "lr", "val/loss", "val/accuracy"):
        assert np.array_equal(seen.values(key), again.values(key)), key
    for name in ("last", "best"):
        assert equal(seen.checkpoint(name), again.checkpoint(name))
        assert seen.checkpoint(name).meta["progress"] == again.checkpoint(name).meta["progress"]
    assert again.ledger == []  # nothing of it is new
    texts = [(e.step, e.text, e.data) for e in seen.events("changed")]
    assert texts == [(e.step, e.text, e.data) for e in again.events("changed")]


@pytest.mark.parametrize("killed", [5, 7, 12, 17, 22, 28, 36, 44])
def test_a_killed_run_goes_on_with_its_ledger_as_if_nothing_had_happened(killed: int, every_step):
    spec, seen = steered_run()
    # The checkpoint of a stop is that of the moment; what was changed up to it lies before, the rest after.
    part = run(spec, control=Script({killed: [Request("stop")]}), ledger=seen.ledger)
    assert part.checkpoint().step == killed
    rest = run(spec, resume=part.checkpoint(), ledger=seen.ledger)
    assert np.array_equal(seen.values("train/loss")[killed:], rest.values("train/loss"))
    assert equal(seen.checkpoint(), rest.checkpoint())
    later = [(e.step, e.text) for e in seen.events("changed") if e.step > killed]
    assert [(e.step, e.text) for e in rest.events("changed")] == later


class Wire(Team):
    """What rank 0 says and hands, kept for the other one to read afterwards."""

    def __init__(self) -> None:
        super().__init__(rank=0, size=2)
        self.sent: list[Any] = []

    def say(self, order: Order) -> None:
        self.sent.append(order)

    def listen(self) -> Order:
        return self.sent.pop(0)

    def hand(self, blob: bytes = b"") -> bytes:
        if not self.leads:
            return self.sent.pop(0)
        self.sent.append(blob)
        return blob


@pytest.mark.parametrize("resumed", [False, True])
def test_the_other_processes_of_a_run_begin_with_its_ledger_in_force(resumed: bool, every_step):
    spec, seen = steered_run()
    lines = [Change(0, {"training.optimizer.lr": 0.001, "training.freeze": [0]}, 0.0), *seen.ledger]
    resume = (
        run(spec, control=Script({22: [Request("stop")]}), ledger=lines).checkpoint() if resumed else None
    )
    team, data = Wire(), images()
    parts = (data, task_for(spec.task, len(data.classes), data.train.y))
    next(fit(build(spec.model, data.shape, seed=0), *parts, spec, ledger=lines, resume=resume, team=team))
    team.say(Order(END))
    team.rank = 1
    other = followed(Trainer(build(spec.model, data.shape, seed=0), *parts, spec, None, team), team)
    assert other.spec == Ledger(spec, lines, other.step).spec != spec
    assert other.step == (22 if resumed else 0)
    resting = {name for name, value in other.model.named_parameters() if not value.requires_grad}
    assert resting == ({"1.weight", "1.bias", "3.weight", "3.bias"} if resumed else {"0.weight", "0.bias"})


def test_the_ledger_may_go_through_json(every_step):
    spec, seen = steered_run()
    lines = [json.loads(json.dumps([x.step, dict(x.changes), x.time])) for x in seen.ledger]
    again = run(spec, ledger=[Change(*line) for line in lines])
    assert equal(seen.checkpoint(), again.checkpoint())


def test_a_line_is_handed_over_before_an_update_feels_it(every_step):
    _, seen = steered_run()
    for flush in seen.flushes:
        for line in flush.changes:
            assert line.step == flush.step  # no update has been made since
            assert flush.checkpoints == ()
    at = {line.step for line in seen.ledger}
    assert at == set(STEERED)


def test_a_change_is_in_force_from_the_next_update_on(every_step):
    spec = spec_of(steps=20, optimizer={"kind": "sgd", "lr": 0.1}, schedule={"kind": "step", "every": 2})
    seen = run(spec, control=Script({7: [change(lr=0.02)]}))
    factors = [spec.training.schedule.factor(step, 20, 5) for step in range(20)]
    expected = [0.1 * f for f in factors[:7]] + [0.02 * f for f in factors[7:]]
    assert np.allclose(seen.values("lr"), expected, rtol=1e-12)
    (event,) = seen.events("changed")
    assert event.text == "Learning rate 0.1 → 0.02"
    assert event.data == {"changes": {"training.optimizer.lr": [0.1, 0.02]}}


def test_what_a_plateau_made_of_the_rate_stays_when_it_is_steered(every_step):
    plateau = {"kind": "plateau", "patience": 0, "gamma": 0.5}
    spec = spec_of(steps=60, optimizer={"kind": "sgd", "lr": 0.9}, schedule=plateau)
    plain = run(spec).values("lr")
    fallen = int(np.flatnonzero(plain < 0.9)[0])
    seen = run(spec, control=Script({fallen + 1: [change(lr=0.09)]})).values("lr")
    assert seen[fallen] == plain[fallen] < 0.9
    assert seen[fallen + 1] == pytest.approx(plain[fallen] / 10)


def test_steering_a_rate_is_training_with_it(every_step):
    """Ten steps at one rate and the rest at another, as torch's own loop would with the group set by hand."""
    spec = spec_of(CNN, steps=20, optimizer={"kind": "sgd", "lr": 0.05})
    seen = run(spec, control=Script({10: [change(lr=0.2, weight_decay=0.1, clip_norm=0.3)]}))
    data = images()
    model = build(spec.model, (1, 6, 6), seed=0)
    torchs = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, y = normalised(data.train.x, data.mean, data.std), torch.from_numpy(data.train.y)
    losses: list[float] = []
    for epoch in range(4):
        for rows in order(70, 0, epoch).split(16):
            if len(losses) == 10:
                torchs.param_groups[0].update(lr=0.2, weight_decay=0.1)
            loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
            torchs.zero_grad()
            loss.backward()
            if len(losses) >= 10:
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            torchs.step()
            losses.append(loss.item())
    assert np.allclose(seen.values("train/loss"), losses, rtol=1e-3, atol=1e-4)


def test_a_change_to_what_already_is_leaves_no_line(every_step):
    seen = run(spec_of(steps=6, optimizer={"kind": "sgd", "lr": 0.1}), control=Script({2: [change(lr=0.1)]}))
    assert seen.ledger == []
    assert seen.events("changed", "warning") == []


def test_lines_before_a_fresh_start_are_in_force_and_told(every_step):
    spec = spec_of(steps=6, optimizer={"kind": "sgd", "lr": 0.1})
    seen = run(spec, ledger=[Change(0, {"training.optimizer.lr": 0.3}, 0.0)])
    assert (seen.values("lr") == 0.3).all()
    assert [e.text for e in seen.events("changed")] == ["Learning rate 0.1 → 0.3"]
    assert seen.ledger == []


def test_a_ledger_that_does_not_fit_is_refused_before_training():
    for bad in ({"training.freeze": [99]}, {"training.batch_size": 4}, {"training.optimizer.lr": -1}):
        with pytest.raises(SpecError):
            run(spec_of(steps=6), ledger=[Change(4, bad, 0.0)])


BAD = [
    Request("change", {}),
    Request("change", {"changes": None}),
    Request("change", {"changes": [1, 2]}),
    Request("change", {"changes": {7: 1}}),
    Request("change", {"changes": {"training.batch_size": 1}}),
    Request("change", {"changes": {"training.optimizer.lr": "NaN"}}),
    Request("change", {"changes": {"training.optimizer.lr": {"a": 1}}}),
    Request("change", {"changes": {"training.freeze": [1, 99]}}),
    Request("change", {"changes": {"training.freeze": list(range(6))}}),
    Request("step", {}),
    Request("step", {"steps": 0}),
    Request("step", {"steps": -3}),
    Request("step", {"steps": "many"}),
    Request("step", {"steps": True}),
    Request("step", {"steps": 1.5}),
    Request("step", None),  # type: ignore[arg-type]
    Request("dance"),
    Request(""),
]


@pytest.mark.parametrize("request_", BAD, ids=str)
def test_a_request_that_makes_no_sense_is_a_warning_and_never_the_end(request_: Request, every_step):
    spec = spec_of(steps=9)
    seen = run(spec, control=Script({3: [request_]}))
    assert len(seen.events("warning")) == 1
    assert seen.ledger == []
    assert equal(seen.checkpoint(), run(spec).checkpoint())
    paused = Script({3: [Request("pause")]}, paused=[[request_], [Request("resume")]])
    seen = run(spec, control=paused)
    assert len(seen.events("warning")) == 1
    assert equal(seen.checkpoint(), run(spec).checkpoint())


def test_one_bad_request_does_not_hide_the_good_ones(every_step):
    good = change(lr=0.02)
    seen = run(spec_of(steps=9), control=Script({3: [*BAD, good]}))
    assert len(seen.events("warning")) == len(BAD)
    assert seen.ledger[0].changes == {"training.optimizer.lr": 0.02}


def test_what_the_model_alone_can_know_is_refused_too(every_step):
    """The spec says nothing of a module brought along: here both linear layers sit in child 0."""
    inner = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 8), torch.nn.Linear(8, 3))
    seen = run(
        spec_of(MLP, steps=9), model=torch.nn.Sequential(inner), control=Script({3: [change(freeze=[0])]})
    )
    assert "every layer with weights is frozen" in seen.events("warning")[0].text
    assert seen.ledger == []
    assert seen.outcome == "finished"


def test_best_is_chosen_anew_when_another_metric_is_watched(every_step):
    stopping = {"metric": "val/accuracy", "patience": 400}
    seen = run(spec_of(epochs=12), control=Script({20: [change(early_stopping=stopping)]}))
    accuracy = dict(zip(seen.steps("val/accuracy"), seen.values("val/accuracy"), strict=True))
    later = {step: value for step, value in accuracy.items() if step > 20}
    best = seen.checkpoint("best")
    assert best.step > 20
    assert accuracy[best.step] == max(later.values())


def test_orders_are_the_last_verb_and_stop_above_all():
    r = Request
    assert orders([r("pause"), r("resume")]).verb == "resume"
    assert orders([r("resume"), r("step", {"steps": 4})]).steps == 4
    assert orders([r("stop"), r("resume")]).verb == "stop"
    assert orders([r("step", {"steps": 4}), r("stop"), r("park")]).verb == "stop"
    assert orders([r("park"), r("pause")]).verb == "pause"
    assert orders([]).verb is None


def test_steered_specs_and_steered_runs_agree(every_step):
    """A line at step 0 is the spec written so from the start."""
    changes = {"training.freeze": [1], "data.augment": [FLIP], "training.accumulation_steps": 2}
    spec = spec_of(MLP, steps=12)
    seen = run(spec, ledger=[Change(0, changes, 0.0)])
    assert equal(seen.checkpoint(), run(steered(spec, changes)).checkpoint())
