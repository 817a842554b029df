"""Pause, step, park, resume and stop: each does what it says, at the step it says, and loses nothing."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.engine.tiny import Script, change, run, spec_of
from workbench.engine.checkpoint import equal, from_bytes, to_bytes
from workbench.engine.control import Request
from workbench.engine.meter import Meter

PAUSE, RESUME, STOP, PARK = (Request(verb) for verb in ("pause", "resume", "stop", "park"))


def step(n: int) -> Request:
    return Request("step", {"steps": n})


def paused_at(seen) -> list[int]:
    """Steps of the pauses, each with a checkpoint of that very step."""
    flushes = [f for f in seen.flushes if f.phase == "paused" and f.checkpoints]
    assert all(f.checkpoints[-1].name == "last" and f.checkpoints[-1].step == f.step for f in flushes)
    return [f.step for f in flushes]


@pytest.mark.parametrize("n", [1, 2, 5, 6, 17])
def test_a_step_makes_exactly_its_updates_and_pauses(n: int, every_step):
    seen = run(spec_of(steps=40), control=Script({3: [step(n)]}, paused=[[RESUME]]))
    assert paused_at(seen) == [3 + n]
    assert len(seen.values("train/loss")) == 40
    assert equal(seen.checkpoint(), run(spec_of(steps=40)).checkpoint())


def test_steps_may_be_repeated_from_a_pause(every_step):
    control = Script({3: [PAUSE]}, paused=[[step(1)], [step(4)], [step(1)], [RESUME]])
    seen = run(spec_of(steps=20), control=control)
    assert paused_at(seen) == [3, 4, 8, 9]
    assert equal(seen.checkpoint(), run(spec_of(steps=20)).checkpoint())
    kinds = [e.kind for e in seen.events("paused", "stepping", "resumed")]
    assert kinds == ["paused", "stepping", "paused", "stepping", "paused", "stepping", "paused", "resumed"]


def test_a_step_needs_no_flush_at_its_end():
    """Flushes come by the clock; the pause must not."""
    seen = run(spec_of(steps=300), control=Script({1: [step(99)]}, paused=[[step(100)], [STOP]]))
    assert paused_at(seen) == [100, 200]
    assert list(seen.steps("train/loss")) == list(range(1, 201))
    assert seen.outcome == "stopped"


def test_a_step_beyond_the_end_ends(every_step):
    seen = run(spec_of(steps=9), control=Script({3: [step(50)]}))
    assert paused_at(seen) == []
    assert seen.outcome == "finished"
    exact = run(spec_of(steps=9), control=Script({3: [step(6)]}))
    assert exact.outcome == "finished"


@pytest.mark.parametrize("verb", [PAUSE, STOP, PARK, RESUME, step(3)], ids=lambda r: r.verb)
def test_other_requests_are_heard_while_steps_are_taken(verb: Request, every_step):
    seen = run(spec_of(steps=30), control=Script({3: [step(20)], 7: [verb]}, paused=[[RESUME]]))
    pauses = {"pause": [7], "stop": [], "park": [7], "resume": [], "step": [10]}
    assert paused_at(seen) == pauses[verb.verb]
    ends = {"stop": ("stopped", 7), "park": ("parked", 7)}
    assert (seen.outcome, seen.flushes[-1].step) == ends.get(verb.verb, ("finished", 30))


@pytest.mark.parametrize("from_a_pause", [False, True])
def test_a_parked_run_goes_on_as_if_it_had_not_been(from_a_pause: bool, every_step):
    spec = spec_of(steps=40, ema=0.9, early_stopping={"patience": 100})
    whole = run(spec)
    # At a step that is no validation: parking must not put one in.
    control = Script({17: [PAUSE]}, paused=[[PARK]]) if from_a_pause else Script({17: [PARK]})
    part = run(spec, control=control)
    last = part.flushes[-1]
    assert (last.outcome, last.phase, last.step) == ("parked", "paused", 17)
    assert [s.name for s in last.checkpoints][-1] == "last"
    assert part.events("parked")
    assert list(part.steps("val/loss")) == [5, 10, 15]
    rest = run(spec, resume=from_bytes(to_bytes(part.checkpoint())))
    assert np.array_equal(
        np.concatenate([part.values("train/loss"), rest.values("train/loss")]), whole.values("train/loss")
    )
    assert equal(whole.checkpoint(), rest.checkpoint())
    assert rest.checkpoint().meta["progress"] == whole.checkpoint().meta["progress"]


def test_everything_seen_is_handed_over_at_a_park():
    seen = run(spec_of(steps=300), control=Script({1: [step(49)]}, paused=[[PARK]]))
    assert list(seen.steps("train/loss")) == list(range(1, 51))
    assert len(seen.values("val/loss")) == 10


def test_a_change_during_a_pause_is_kept_at_once_and_felt_after_it(every_step):
    control = Script({5: [PAUSE]}, paused=[[change(lr=0.5)], [change(freeze=[1])], [RESUME]])
    spec = spec_of(steps=12, optimizer={"kind": "sgd", "lr": 0.1})
    seen = run(spec, control=control)
    lines = [(f.phase, f.step, dict(c.changes)) for f in seen.flushes for c in f.changes]
    assert lines == [
        ("paused", 5, {"training.optimizer.lr": 0.5}),
        ("paused", 5, {"training.freeze": [1]}),
    ]
    assert list(seen.values("lr")) == [0.1] * 5 + [0.5] * 7
    assert equal(seen.checkpoint(), run(spec, ledger=seen.ledger).checkpoint())


def test_a_change_and_a_park_together(every_step):
    spec = spec_of(steps=12, optimizer={"kind": "sgd", "lr": 0.1})
    part = run(spec, control=Script({5: [PARK, change(lr=0.5)]}))
    rest = run(spec, resume=part.checkpoint(), ledger=part.ledger)
    assert list(rest.values("lr")) == [0.5] * 7


def test_the_remaining_time_of_a_resumed_run_is_known_at_once_and_leaves_pauses_out():
    class Slow(Script):
        def wait(self) -> None:
            super().wait()
            time.sleep(0.4)

    def pace(flush) -> None:
        time.sleep(0.01)

    spec = spec_of(steps=800)
    began = time.perf_counter()
    part = run(spec, control=Slow({1: [step(399)]}, paused=[[change(lr=0.002)], [PARK]]), each=pace)
    told = [f.eta_s for f in part.flushes if f.step == 400 and f.eta_s is not None]
    assert len(told) >= 3  # at the pause, at the change and at the park: the clock stood still
    wall = time.perf_counter() - began
    assert wall - part.flushes[-1].active_s >= 0.8  # two waits of 0.4 s are not work
    rest = run(spec, resume=part.checkpoint())
    assert rest.flushes[0].eta_s == pytest.approx(told[-1], rel=0.2)
    assert rest.flushes[0].active_s == pytest.approx(part.flushes[-1].active_s, abs=0.1)
    worked = [f.active_s for f in [*part.flushes, *rest.flushes]]
    assert min(np.diff(worked)) > -0.05  # the checkpoint is taken a moment before its flush


def test_the_clock_stands_still_while_idle(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("workbench.engine.meter.perf_counter", lambda: now[0])
    meter = Meter(active_s=50.0, pace_s=0.5)
    assert meter.eta_s(10, 100) == pytest.approx(45.0)  # the earlier session's pace
    now[0] += 10
    assert meter.eta_s(50, 100) == pytest.approx(12.5)  # its own
    with meter.idle():
        now[0] += 1000
        assert meter.active_s == 60.0
        assert meter.eta_s(50, 100) == pytest.approx(12.5)
    assert meter.active_s == 60.0
