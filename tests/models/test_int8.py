"""8-bit variants: close to the float model, the same wherever they are loaded, and really int8 underneath."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from workbench.engine.checkpoint import Checkpoint, from_bytes, to_bytes
from workbench.models import int8_layers
from workbench.models.build import build
from workbench.models.int8 import loaded, quantised
from workbench.models.int8_layers import (
    DynamicLinear,
    Int8Conv1d,
    Int8Embedding,
    Int8Recurrent,
    Stretch,
    eighth,
    has_kernel,
    largest,
    rounded,
    whole,
)
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
def test_of_two_networks_the_one_that_makes_pictures_gets_8_bits(kind):
    spec = PRESETS["dcgan"].spec
    shape = spec.task.input(SHAPE, 0)
    model = build(spec.model, shape, seed=0)
    noise = torch.randn(64, spec.task.latent, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.train().generator(noise)
    tensors = quantised(model.eval(), kind, [noise])
    small = loaded(build(spec.model, shape, seed=5), kind, tensors)
    x = torch.randn(4, *SHAPE)
    with torch.inference_mode():
        assert (small.generator(noise) - model.generator(noise)).abs().max() < 0.1  # of -1 to 1
        assert torch.equal(small(x), model(x))
    kinds = [type(m) for m in small.modules() if isinstance(m, Stretch | DynamicLinear)]
    assert len(kinds) == 1  # of the generator; transposed convolutions stay float


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


def test_a_dynamic_layers_answer_hangs_on_no_other_sample():
    layer = nn.Linear(24, 6)
    q, scale = eighth(layer.weight)
    small = DynamicLinear({"q": q, "scale": scale, "bias": layer.bias.detach()})
    x = torch.randn(5, 3, 24)
    with torch.inference_mode():
        together = small(x)
        assert torch.equal(together[2:3], small(x[2:3]))
        assert (together - layer(x)).abs().max() < 0.05
        assert torch.equal(small(torch.zeros(2, 24)), layer.bias.expand(2, 6))


def test_sequences_that_are_flattened_within_a_stretch_keep_their_samples_apart():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Flatten(), nn.Linear(40, 3)).eval()
    x = torch.randn(16, 5, 6)
    small = loaded(copy.deepcopy(model), "static", quantised(model, "static", [x]))
    with torch.inference_mode():
        assert (small(x) - model(x)).abs().max() < 0.05


@pytest.mark.parametrize("is_kernel", [True, False], ids=["int8 kernel", "unfolded"])
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (nn.LSTM, {"num_layers": 2}), (nn.GRU, {"num_layers": 2}), (nn.LSTM, {"bidirectional": True}),
        (nn.GRU, {"bidirectional": True}), (nn.RNN, {"nonlinearity": "relu"}), (nn.GRU, {"bias": False}),
    ],
)  # fmt: skip
def test_recurrent_layers_say_what_torchs_say_with_the_rounded_weights(kind, more, is_kernel, monkeypatch):
    """Whole or packed, from zero or from a state; the last states too."""
    monkeypatch.setattr(int8_layers, "WIDE", 8 if is_kernel else 10**9)
    rnn = kind(5, 8, batch_first=True, **more).eval()
    parts = rounded(rnn)
    for name in rnn._flat_weights_names:
        if f"{name}/q" in parts:
            getattr(rnn, name).data = whole(parts[f"{name}/q"], parts[f"{name}/scale"])
    small = Int8Recurrent(rnn, parts)
    assert small.is_kernel == has_kernel(rnn)
    near = {"atol": 0.05} if small.is_kernel else {"atol": 1e-6}
    x = torch.randn(4, 7, 5)
    first = torch.randn(rnn.num_layers * (1 + rnn.bidirectional), 4, 8) * 0.3
    state = (first, first * 0.5) if kind is nn.LSTM else first
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([2, 7, 3, 5]), True, enforce_sorted=False)
    with torch.inference_mode():
        for given in ((x,), (x, state), (packed,), (packed, state)):
            (out, last), (theirs, their_last) = small(*given), rnn(*given)
            if not isinstance(out, torch.Tensor):
                out, theirs = (nn.utils.rnn.pad_packed_sequence(part, True)[0] for part in (out, theirs))
            assert torch.allclose(out, theirs, **near)
            pairs = zip(last, their_last, strict=True) if kind is nn.LSTM else [(last, their_last)]
            assert all(torch.allclose(one, other, **near) for one, other in pairs)


def test_what_a_model_of_texts_is_made_of_is_8_bit_but_for_norms_and_positions():
    """Projections of attention, feed-forward parts, recurrent layers, convolutions along steps, tables."""
    shape, ids = Tokens(32, 50), torch.randint(1, 50, (8, 32))
    held = {"text-encoder": Stretch, "gpt-char": Stretch, "text-gru": Int8Recurrent, "text-cnn": Int8Conv1d}
    for name, kind in held.items():
        spec = PRESETS[name].spec.model
        model = build(spec, shape, seed=0).eval()
        tensors = quantised(model, "static", [ids])
        small = loaded(build(spec, shape, seed=3), "static", tensors)
        assert any(isinstance(m, kind) for m in small.modules()), name
        floats = [m for m in small.modules() if isinstance(m, nn.Linear | nn.RNNBase | nn.Embedding)]
        assert floats == [], name
        left = sum(t.numel() for n, t in tensors.items() if n.startswith("model/") and t.ndim > 1)
        assert left < 0.1 * sum(t.numel() for t in model.parameters()), name


@pytest.mark.parametrize("kind", ["static", "dynamic"])
@pytest.mark.parametrize("name", ["text-encoder", "text-cnn", "text-lstm", "text-gru", "gpt-char"])
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
