"""What the specs say in plain Python must be what torch and torchinfo find by running the model."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torchinfo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.models import stacks
from workbench.models.build import BUILDERS, build, build_layer
from workbench.models.summary import summary
from workbench.specs.base import Duel, Pair, Picture, Tokens
from workbench.specs.errors import LayerError, SpecError
from workbench.specs.layers import GROUPS, LAYERS
from workbench.specs.model import ModelSpec
from workbench.specs.presets import READY, preset
from workbench.specs.rows import layer_at, walk
from workbench.specs.tasks import TOKEN_TASKS

quick = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), max_examples=100
)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def counted_by_torchinfo(module: nn.Module, shape: tuple[int, ...]) -> torchinfo.ModelStatistics:
    return torchinfo.summary(module, input_size=(1, *shape), verbose=0, device="cpu", mode="eval")


def run(module: nn.Module, shape: tuple[int, ...], batch: int = 2) -> torch.Tensor:
    with torch.no_grad():
        return module.train()(torch.randn(batch, *shape))


def test_every_layer_kind_has_a_builder():
    assert set(BUILDERS) == set(LAYERS.values())


# Layers of sequences are compared in test_sequences.py, pretrained networks with their own library.
@pytest.mark.parametrize("kind", sorted(set(LAYERS) - stacks.SEQUENTIAL - stacks.TABULAR - stacks.APART))
def test_a_layer_has_the_shape_parameters_and_mult_adds_that_torch_finds(kind: str):
    compared = {"taken": 0, "refused": 0}

    @quick
    @given(stacks.layer(kind), stacks.shapes)
    def check(layer, shape):
        try:
            out = layer.out_shape(shape)
        except LayerError as error:
            compared["refused"] += 1
            assert error.problems[0].rule, error  # noqa: PT017  (Hypothesis decides which way it goes)
            # Groups refuse more than torch, which broadcasts sums of other shapes and passes empty lists.
            assert kind in GROUPS or torch_cannot(layer, shape)
            return
        compared["taken"] += 1
        module = build_layer(layer, shape)
        assert tuple(run(module, shape).shape[1:]) == out
        assert parameters(module) == layer.n_params(shape)
        found = counted_by_torchinfo(nn.Sequential(module), shape)
        assert found.total_mult_adds == layer.mult_adds(shape)

    check()
    assert compared["taken"] >= 10, compared


def torch_cannot(layer, shape) -> bool:
    """Whether torch fails, warns (an error in this suite) or loses an axis for some batch size."""
    for batch in (1, 2, 3):
        try:
            if layer.kind == "linear":  # one who does not know the rule counts all inputs
                module: nn.Module = nn.Linear(math.prod(shape), layer.out_features)
            else:
                module = build_layer(layer, shape)
            out = run(module, shape, batch)
            # A linear layer takes 1×1×W images, but then gives no matrix of scores.
            wanted = {"linear": 2, "unflatten": 4}.get(layer.kind, out.ndim)
            if len(out) != batch or out.ndim != wanted:
                return True
        except (RuntimeError, ValueError, IndexError, UserWarning):
            return True
    return False


def test_random_stacks_agree_with_torch_and_torchinfo_or_are_refused_where_torch_fails():
    compared = {"taken": 0, "refused": 0, "nested": 0}

    @settings(quick, max_examples=1000)
    @given(stacks.stacks, stacks.shapes)
    def check(rows, shape):
        model = stacks.model_of(rows)
        table = model.rows(shape)
        fault = next((row for row in walk(table) if row.problem), None)
        if fault:
            compared["refused"] += 1
            layer = layer_at(rows, fault.path)
            assert fault.problem.where == f"layer {fault.label} ({layer.kind})"
            assert fault.problem.fix, fault.problem
            with pytest.raises(SpecError) as refusal:
                build(model, shape)
            assert refusal.value.problems == (fault.problem,)
            if len(fault.path) == 1 and fault.kind not in {*GROUPS, *stacks.SEQUENTIAL, *stacks.TABULAR}:
                before = table[fault.index - 1].out_shape if fault.index else shape
                # Of steps torch would take an axis for the batch's, or for channels: those are refused.
                assert len(before) == 2 or torch_cannot(layer, before)
            return
        compared["taken"] += 1
        compared["nested"] += any(row.children for row in table)
        module = build(model, shape, seed=0)
        assert [name for name, _ in module.named_children()] == [str(i) for i in range(len(rows))]
        x = torch.randn(2, *shape)
        for row, child in zip(table, module, strict=True):
            x = child(x)
            assert tuple(x.shape[1:]) == row.out_shape
            assert parameters(child) == row.parameters
        found = counted_by_torchinfo(module, shape)
        assert found.total_params == model.n_params(shape)
        assert found.total_mult_adds == sum(row.mult_adds for row in table)
        inner = dict(module.named_modules())
        for row in walk(table):  # inside groups too, by name, where nothing is repeated
            if row.times == 1 and row.kind != "repeat" and "repeat" not in kinds_around(rows, row.path):
                name = ".".join(str(part) for part in row.path)
                assert parameters(inner[name]) == row.parameters, name

    check()
    assert compared["taken"] >= 250, compared
    assert compared["refused"] >= 250, compared
    assert compared["nested"] >= 60, compared


def kinds_around(rows, path):
    """Kinds of the groups that a layer stands in."""
    return [layer_at(rows, path[:n]).kind for n in range(1, len(path)) if isinstance(path[n - 1], int)
            and not (n >= 2 and path[n - 2] == "branches")]  # fmt: skip


@pytest.mark.parametrize("name", sorted(READY))
def test_every_preset_builds_and_gives_one_score_per_class(name: str):
    spec = preset(name).spec
    shape = stacks.input_of(name)
    module = build(spec.model, shape, seed=0)
    assert parameters(module) == spec.model.n_params(shape)
    n, per_token = stacks.columns_of(name), spec.task.kind in TOKEN_TASKS
    is_plain = not isinstance(shape, Tokens | Pair)
    x, out = torch.zeros(2, *shape) if is_plain else ones_of(shape), spec.model.out_shape(shape)
    assert module(x).shape == ((2, 1) if isinstance(shape, Duel) else (2, *out))
    if isinstance(shape, Duel):  # two networks: what the second says of the first one's images
        assert out == shape
    elif isinstance(shape, Picture):
        assert out == shape.gives
    else:
        assert out[-1] == n or (out, n) == ((1,), 2)  # one score may tell two classes
    found = spec.model.problems(shape, n, per_token=per_token)
    assert [p for p in found if p.severity == "error"] == []


def ones_of(shape: Any) -> torch.Tensor:
    """Two texts, or pairs of texts, of the whole length: tokens 1."""
    if isinstance(shape, Pair):
        return torch.ones(2, 2, shape.target.length, dtype=torch.int64)
    return torch.ones(2, shape.length, dtype=torch.int64)


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("cnn-mnist", (1, 28, 28), 225_034),
        ("cnn-rgb", (3, 24, 24), 315_722),
        ("cnn-compact", (1, 28, 28), 34_826),
    ],
)
def test_presets_have_their_published_parameter_counts(name, shape, parameters):
    assert preset(name).spec.model.n_params(shape) == parameters


def test_the_keras_mnist_network_has_its_published_layers():
    # keras-team/keras-io examples/vision/md/mnist_convnet.md
    rows = preset("cnn-compact").spec.model.rows((1, 28, 28))
    assert [(r.out_shape, r.parameters) for r in rows if r.kind not in ("relu", "dropout")] == [
        ((32, 26, 26), 320),
        ((32, 13, 13), 0),
        ((64, 11, 11), 18_496),
        ((64, 5, 5), 0),
        ((1600,), 0),
        ((10,), 16_010),
    ]


def test_torchinfos_own_example_has_its_published_counts():
    # sksq96/pytorch-summary README; TylerYep/torchinfo tests/test_output/single_input.out
    model = ModelSpec.model_validate(
        {
            "layers": [
                {"kind": "conv2d", "out_channels": 10, "kernel_size": 5},
                {"kind": "max_pool2d"},
                {"kind": "relu"},
                {"kind": "conv2d", "out_channels": 20, "kernel_size": 5},
                {"kind": "dropout2d", "p": 0.5},
                {"kind": "max_pool2d"},
                {"kind": "relu"},
                {"kind": "flatten"},
                {"kind": "linear", "out_features": 50},
                {"kind": "relu"},
                {"kind": "linear", "out_features": 10},
            ]
        }
    )
    rows = model.rows((1, 28, 28))
    assert [row.parameters for row in rows if row.parameters] == [260, 5_020, 16_050, 510]
    assert model.n_params((1, 28, 28)) == 21_840
    assert round(2 * sum(row.mult_adds for row in rows) / 1000, 2) == 975.20


def test_the_first_block_of_vgg16_has_its_published_counts():
    # sksq96/pytorch-summary README: the first five rows of VGG16 at 3x224x224
    conv = {"kind": "conv2d", "out_channels": 64, "padding": 1}
    model = ModelSpec.model_validate(
        {"layers": [conv, {"kind": "relu"}, conv, {"kind": "relu"}, {"kind": "max_pool2d"}]}
    )
    rows = model.rows((3, 224, 224))
    assert [(r.parameters, r.out_shape) for r in rows] == [
        (1_792, (64, 224, 224)),
        (0, (64, 224, 224)),
        (36_928, (64, 224, 224)),
        (0, (64, 224, 224)),
        (0, (64, 112, 112)),
    ]


@quick
@given(st.integers(0, 2**31 - 1))
def test_the_same_seed_gives_the_same_weights_and_leaves_torchs_random_state(seed: int):
    model = preset("mlp-tiny").spec.model
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, two = build(model, (1, 8, 8), seed=seed), build(model, (1, 8, 8), seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_an_empty_stack_is_refused():
    with pytest.raises(SpecError, match="a model needs at least one layer"):
        build(ModelSpec(), (1, 8, 8))


def test_softmax_layers_work_over_the_first_axis():
    for shape in [(5,), (4, 3, 3)]:
        for kind in ("softmax", "log_softmax"):
            out = build_layer(LAYERS[kind](), shape)(torch.randn(2, *shape))
            total = out.exp().sum(dim=1) if kind == "log_softmax" else out.sum(dim=1)
            assert torch.allclose(total, torch.ones_like(total))


def test_the_summary_is_torchinfos_and_agrees_with_the_layer_table():
    model = preset("cnn-fashion").spec.model
    found = summary(model, (1, 28, 28))
    assert found.parameters == model.n_params((1, 28, 28))
    assert found.mult_adds == sum(row.mult_adds for row in model.rows((1, 28, 28)))
    assert "Conv2d" in found.text
