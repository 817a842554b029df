"""A model of a series must give one vector of steps times variates; what does not is told with its repair."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import sequences, stacks
from workbench.models.build import build
from workbench.specs.base import Window
from workbench.specs.data import DataSpec
from workbench.specs.data_memory import data_bytes
from workbench.specs.edits import apply_to
from workbench.specs.errors import SpecError
from workbench.specs.forecasts import forecaster
from workbench.specs.layer import show
from workbench.specs.model import ModelSpec
from workbench.specs.run import RunSpec, from_dict
from workbench.specs.sizes import SeriesSizes
from workbench.specs.tasks import ForecastingTask, score_columns
from workbench.ui import stack

SHAPE = Window(20, 3)
N = 4 * 3


def model(*layers: dict[str, Any]) -> ModelSpec:
    return ModelSpec.model_validate({"layers": layers})


def errors(spec: ModelSpec, n: int = N) -> list[Any]:
    return [p for p in spec.problems(SHAPE, n) if p.severity == "error"]


def mended(spec: ModelSpec, n: int = N) -> ModelSpec:
    """The first repair done on the plain data, as a button does it."""
    return ModelSpec.model_validate(apply_to(spec.model_dump(mode="json"), errors(spec, n)[0].fix))


@pytest.mark.parametrize(
    ("layers", "label"),
    [
        ([{"kind": "series_linear", "out_steps": 4}], "Add flatten"),
        ([{"kind": "series_linear", "out_steps": 9}], "Set out_steps to 4 and add flatten"),
        ([{"kind": "series_linear"}, {"kind": "flatten"}], "Set out_steps of series_linear to 4"),
        ([{"kind": "lstm", "hidden_size": 8}], "Add sequence_pool and linear (12)"),
        ([{"kind": "flatten"}, {"kind": "linear"}], "Set out_features of the last linear layer to 12"),
        ([{"kind": "flatten"}], "Add linear (12)"),
        ([{"kind": "window_norm"}], "Set out_features of the last linear layer to 12"),
        ([{"kind": "layer_norm"}], "Add flatten and linear (12)"),
        ([], "Start with a linear forecast (2 layers)"),
    ],
)  # fmt: skip
def test_another_size_is_told_with_a_repair_that_works(layers: list[dict[str, Any]], label: str):
    spec = model(*layers)
    problem = errors(spec)[0]
    assert problem.fix.label == label
    if layers:
        assert "12 numbers: every step ahead of every variate" in problem.rule
    fixed = mended(spec)
    assert errors(fixed) == []
    assert build(fixed, SHAPE, seed=0)(torch.zeros(2, *SHAPE)).shape == (2, N)


@settings(max_examples=60, deadline=None)
@given(st.lists(sequences.some(*sequences.KINDS, *sequences.BY_STEP, "flatten"), max_size=4).map(tuple))
def test_repair_after_repair_ends_in_a_forecast_that_torch_runs(layers: Any):
    spec = ModelSpec(layers=layers)
    for _ in range(12):
        if not errors(spec):
            break
        assert errors(spec)[0].fix, errors(spec)[0]
        spec = mended(spec)
    assert errors(spec) == []
    assert build(spec, SHAPE, seed=0).eval()(torch.randn(2, *SHAPE)).shape == (2, N)


def test_where_one_variate_is_told_of_several_the_start_is_flat():
    assert [layer["kind"] for layer in forecaster(SHAPE, 4)] == ["flatten", "linear"]
    assert [layer["kind"] for layer in forecaster(SHAPE, 12)] == ["series_linear", "flatten"]


def test_a_band_takes_as_many_columns_as_quantiles():
    assert score_columns(ForecastingTask(), 12) == 12
    assert score_columns(ForecastingTask(loss="quantile", quantiles=(0.1, 0.5, 0.9)), 12) == 36
    assert score_columns(ForecastingTask(quantiles=(0.1, 0.9)), 12) == 12  # another loss tells one number


@pytest.mark.parametrize("quantiles", [[0.5, 0.1], [0.1, 0.1], [0.0, 0.5], [0.5, 1.0], []])
def test_quantiles_rise_within_0_and_1(quantiles: list[float]):
    with pytest.raises(SpecError) as refused:
        from_dict({"task": {"kind": "forecasting", "loss": "quantile", "quantiles": quantiles}})
    assert refused.value.problems[0].where.startswith("task")


def test_what_squashes_a_forecast_is_doubted():
    for kind in ("sigmoid", "softmax", "tanh", "relu"):
        doubts = model(
            {"kind": "series_linear", "out_steps": 4}, {"kind": "flatten"}, {"kind": kind}
        ).problems(SHAPE, N)
        assert [p.fix.label for p in doubts if p.severity == "warning"] == [f"Remove {kind}"]


def test_a_window_is_shown_in_words_and_read_as_a_series_by_the_editor():
    assert show(SHAPE) == "20 steps of 3 variates"
    tree = stack.model([{"kind": "series_linear", "out_steps": 4}, {"kind": "flatten"}])
    found = stack.report(stack.read(tree), SHAPE, N)
    assert found["ok"]
    assert (found["reads"], found["inputs"]) == ("series", ["20 steps of 3 variates"])
    assert found["goal"] == {"text": "12 numbers: steps ahead times variates", "met": True}


def test_a_series_takes_the_memory_of_its_numbers_whatever_its_windows():
    spec = RunSpec(data=DataSpec(name="s"))
    few, many = (SeriesSizes({"train": n, "validation": 10, "test": 10}, 60_000) for n in (100, 50_000))
    sizes = [data_bytes(spec, Window(500, 3), counts, "cuda", 10**12) for counts in (few, many)]
    assert sizes[0] == pytest.approx(2 * 4 * 60_000, rel=0.02)
    assert sizes[1] - sizes[0] == 24 * (50_000 - 100)  # numbers of windows, and none of their values


def test_a_causal_convolution_sees_no_later_step():
    conv = build(
        model({"kind": "conv1d", "out_channels": 4, "kernel_size": 3, "dilation": 2, "causal": True}), SHAPE
    )
    x = torch.randn(1, *SHAPE)
    other = x.clone()
    other[:, 12:] += 100
    assert conv(x).shape == (1, 20, 4)
    assert torch.equal(conv(x)[:, :12], conv(other)[:, :12])
    assert not torch.equal(conv(x)[:, 12], conv(other)[:, 12])


@pytest.mark.parametrize("normalize", ["last", "mean"])
def test_a_level_that_is_taken_off_comes_back(normalize: str):
    net = build(model({"kind": "series_linear", "out_steps": 4, "normalize": normalize}), SHAPE, seed=0)
    x = torch.randn(2, *SHAPE)
    torch.testing.assert_close(net(x + 50), net(x) + 50, rtol=0, atol=1e-3)


@pytest.mark.parametrize("how", ["standardize", "mean", "last"])
@pytest.mark.parametrize(("told", "n"), [(None, N), ((1,), 4), ((2, 0), 8)])
def test_a_window_on_its_own_scale_is_told_on_the_series_scale(how: str, told: Any, n: int):
    """Shifted and stretched series give shifted and stretched forecasts, variate by variate."""
    shape = Window(20, 3, told)
    net = build(
        model({
            "kind": "window_norm", "how": how,
            "layers": [{"kind": "flatten"}, {"kind": "gelu"}, {"kind": "linear", "out_features": n}],
        }), shape, seed=0,
    )  # fmt: skip
    x, shift = torch.randn(2, *shape), torch.tensor([50.0, -7.0, 3.0])
    stretch = torch.tensor([3.0, 0.5, 10.0]) if how == "standardize" else torch.ones(3)
    places = list(told or range(3))
    meant = net(x).unflatten(1, (4, -1)) * stretch[places] + shift[places]
    torch.testing.assert_close(net(x * stretch + shift), meant.flatten(1), rtol=1e-4, atol=2e-3)


def test_the_presets_are_of_a_series():
    assert stacks.input_of("dlinear") == Window(132, 1)
