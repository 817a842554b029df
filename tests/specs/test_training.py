"""Learning-rate schedules against torch's own schedulers, and the rules that hold a spec together."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.specs.errors import SpecError
from workbench.specs.run import RunSpec, from_dict
from workbench.specs.schedules import Constant, Cosine, OneCycle, Plateau, Step
from workbench.specs.training import TrainingSpec

TOTAL, PER_EPOCH = 120, 10


def factors(schedule, total: int = TOTAL) -> list[float]:
    return [schedule.factor(step, total, PER_EPOCH) for step in range(total)]


def torchs(make, total: int = TOTAL) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_step_is_torchs_step_lr():
    truth = torchs(lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=3 * PER_EPOCH, gamma=0.5))
    assert factors(Step(every=3, gamma=0.5)) == pytest.approx(truth, rel=1e-12)


def test_cosine_is_torchs_cosine_annealing():
    truth = torchs(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, TOTAL - 1, eta_min=0.1))
    assert factors(Cosine(final=0.1)) == pytest.approx(truth, rel=1e-9)


def test_one_cycle_is_torchs():
    def make(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=1.0, total_steps=TOTAL + 1, pct_start=0.3, div_factor=25, final_div_factor=100
        )

    # torch counts its phases from rounded step numbers; a step's difference is the most there can be.
    ours, truth = factors(OneCycle(rise=0.3, start=0.04, final=0.0004)), torchs(make)
    assert ours[0] == pytest.approx(truth[0])
    assert max(ours) == pytest.approx(1.0, abs=1e-3)
    assert ours == pytest.approx(truth, abs=0.05)


@pytest.mark.parametrize("schedule", [Constant, Step, Cosine, OneCycle, Plateau])
def test_warm_up_climbs_in_a_straight_line(schedule):
    found = factors(schedule(warmup=0.25))
    assert found[:30] == pytest.approx([(i + 1) / 30 for i in range(30)])


@given(
    st.sampled_from([Constant, Step, Cosine, OneCycle, Plateau]),
    st.floats(0, 0.5),
    st.integers(1, 50),
    st.integers(1, 20),
)
def test_factors_are_finite_and_never_above_the_peak(schedule, warmup: float, total: int, per_epoch: int):
    rule = schedule(warmup=warmup)
    for step in range(total):
        factor = rule.factor(step, total, per_epoch)
        assert math.isfinite(factor)
        assert 0 <= factor <= 1


def test_steps_win_over_epochs():
    assert TrainingSpec(epochs=3, steps=7).total_steps(10) == 7
    assert TrainingSpec(epochs=2.5).total_steps(10) == 25
    assert TrainingSpec(epochs=1e-6).total_steps(10) == 1


@pytest.mark.parametrize(
    ("training", "text"),
    [
        ({"epochs": None, "steps": None}, "give epochs or steps"),
        ({"optimizer": {"kind": "sgd", "momentum": 0, "nesterov": True}}, "nesterov needs momentum"),
        ({"optimizer": {"kind": "adm"}}, "Did you mean `adam`"),
        ({"batch_size": 0}, "training.batch_size: .*greater than or equal to 1.* it is 0"),
        ({"device": "gpu"}, "training.device"),
        ({"learning_rate": 1}, "`learning_rate` is not one"),
    ],
)
def test_a_bad_training_spec_is_explained(training, text):
    with pytest.raises(SpecError, match=text):
        from_dict({"training": training})


def test_a_name_of_digits_stays_a_name() -> None:
    assert RunSpec().with_changes('name="2026"').name == "2026"
    assert RunSpec().with_changes("training.optimizer.lr=1e-3").training.optimizer.lr == 1e-3
