"""8-bit variants: close to the float model, the same wherever they are loaded, and really int8 underneath."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from workbench.engine.checkpoint import Checkpoint, from_bytes, to_bytes
from workbench.models.build import build
from workbench.models.int8 import loaded, quantised
from workbench.models.int8_layers import DynamicLinear, Int8Embedding, Stretch, eighth, largest
from workbench.specs.base import Tokens
from workbench.specs.errors import RunError
from workbench.specs.model import ModelSpec
from workbench.specs.presets import PRESETS

SHAPE = (1, 28, 28)


def settled(name: str, shape=SHAPE) -> tuple[ModelSpec, nn.Module, torch.Tensor]:
    """A preset's model whose batch norms have seen something, and a batch."""
    spec = PRESETS[name].spec.model
    model = build(spec, shape, seed=0)
    x = torch.randn(32, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.train()(x)
    return spec, model.eval(), x


def test_weights_are_rounded_to_half_a_step():
    weight = torch.randn(6, 4, 3, 3)
    q, scale = eighth(weight)
    assert q.dtype == torch.int8
    assert ((weight - scale.view(-1, 1, 1, 1) * q).abs() <= scale.view(-1, 1, 1, 1) / 2 + 1e-7).all()


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 0), ((2, 1), (2, 1), 0)]
)
def test_pooling_of_bytes_is_torchs(size, stride, padding):
    x = torch.randint(0, 128, (2, 5, 9, 8), dtype=torch.uint8)
    expected = nn.functional.max_pool2d(x.float(), size, stride, padding)
    assert torch.equal(largest(x, size, stride, padding).float(), expected)


@pytest.mark.parametrize("kind", ["static", "dynamic"])
@pytest.mark.parametrize("name", ["cnn-mnist", "cnn-fashion", "resnet-20", "mlp-image", "inception-mini"])
def test_the_8_bit_model_says_nearly_the_same(name: str, kind):
    spec, model, x = settled(name)
    small = loaded(build(spec, SHAPE, seed=5), kind, quantised(model, kind, [x]))
    with torch.inference_mode():
        ours, theirs = small(x), model(x)
    assert (ours - theirs).abs().max() < 0.08 * (theirs.max() - theirs.min())
    assert sum(isinstance(m, Stretch | DynamicLinear) for m in small.modules()) >= 1


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_saved_variant_gives_the_same_bits_elsewhere(kind):
    spec, model, x = settled("cnn-fashion")
    tensors = quantised(model, kind, [x])
    again = from_bytes(to_bytes(Checkpoint(tensors, {"step": 1, "epoch": 1.0}))).tensors
    one, two = (loaded(build(spec, SHAPE, seed=s), kind, t) for s, t in ((1, tensors), (2, again)))
    with torch.inference_mode():
        assert torch.equal(one(x), two(x))


def test_static_is_a_quarter_of_the_size():
    _, model, x = settled("cnn-mnist")
    floats = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    small = sum(t.numel() * t.element_size() for t in quantised(model, "static", [x]).values())
    assert floats / small > 3.8


def test_making_a_variant_leaves_the_model_as_it_was():
    _, model, x = settled("cnn-fashion")
    before = {name: t.clone() for name, t in model.state_dict().items()}
    quantised(model, "static", [x])
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("kind", ["static", "dynamic"])
@pytest.mark.parametrize("name", ["text-encoder", "text-cnn", "text-lstm", "gpt-char", "transformer-encoder"])
def test_models_of_texts_keep_their_answers(name: str, kind):
    spec = PRESETS[name].spec.model
    shape = Tokens(32, 50)
    model = build(spec, shape, seed=0).eval()
    ids = torch.randint(1, 50, (8, 32), generator=torch.Generator().manual_seed(0))
    small = loaded(build(spec, shape, seed=3), kind, quantised(model, kind, [ids]))
    with torch.inference_mode():
        ours, theirs = small(ids), model(ids)
    assert (ours - theirs).abs().max() < 0.1 * (theirs.max() - theirs.min()) + 0.02
    assert any(isinstance(m, Int8Embedding) for m in small.modules())


def test_what_cannot_be_8_bits_says_so():
    with pytest.raises(RunError, match="the model has none"):
        quantised(nn.Sequential(nn.ReLU()), "dynamic")
    _, model, _ = settled("cnn-mnist")
    with pytest.raises(RunError, match="calibrated on training samples"):
        quantised(model, "static", [])


def test_tensors_of_another_model_are_refused():
    _, model, x = settled("cnn-fashion")
    tensors = quantised(model, "dynamic", [x])
    with pytest.raises(RunError, match="must belong to its run's model"):
        loaded(build(PRESETS["mlp-image"].spec.model, SHAPE, seed=0), "dynamic", tensors)
