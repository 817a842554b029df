"""Channels left out: the spec knows what may go, and the weights that stay give what the wide model gave."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from workbench.models.build import build
from workbench.models.slim import slimmed
from workbench.specs.base import AnyShape, Duel, Tokens, Window
from workbench.specs.errors import RunError, SpecError
from workbench.specs.model import ModelSpec
from workbench.specs.presets import PRESETS
from workbench.specs.slim import AROUND, Chain, chains, slimmer

CONV = {"kind": "conv2d", "out_channels": 8, "padding": 1}
NORM, RELU = {"kind": "batch_norm"}, {"kind": "relu"}


def model_of(*layers) -> ModelSpec:
    return ModelSpec.model_validate({"family": "cnn", "layers": list(layers)})


def linear(n: int) -> dict:
    return {"kind": "linear", "out_features": n}


CHAIN = model_of(
    CONV, NORM, RELU, {"kind": "max_pool2d"}, {**CONV, "out_channels": 6, "bias": False}, NORM, RELU,
    {"kind": "flatten"}, linear(10), RELU, {"kind": "dropout"}, linear(3),
)  # fmt: skip
RESIDUAL = model_of(
    CONV, NORM, RELU, {"kind": "residual", "layers": [CONV, NORM, RELU, CONV, NORM]},
    {"kind": "repeat", "times": 2, "layers": [CONV, RELU, CONV]},
    {"kind": "global_avg_pool2d"}, linear(3),
)  # fmt: skip
# Behind a flatten of steps the numbers of one channel lie apart, one in every step.
WINDOW = Window(6, 3, (0,))
ALONG = [{"kind": "conv1d", "out_channels": 8, "padding": 1}, RELU, linear(6), RELU, {"kind": "flatten"}]
STEPS = model_of(*ALONG, linear(10), RELU, linear(4))
OWN_SCALE = model_of({"kind": "window_norm", "layers": [*ALONG, linear(10), RELU, linear(4)]})
SKIP = model_of(
    {"kind": "skip", "layers": [CONV, NORM, RELU, CONV]}, RELU, {"kind": "global_avg_pool2d"}, linear(3)
)


def test_a_chain_ends_at_the_next_layer_that_mixes_channels():
    assert chains(CHAIN.layers) == [Chain(0, (1, 2, 3), 4), Chain(4, (5, 6, 7), 8), Chain(8, (9, 10), 11)]
    assert chains(RESIDUAL.layers) == []


def test_half_of_every_chain_goes_and_the_scores_keep_their_shape():
    slim = slimmer(CHAIN, (1, 8, 8), 0.5)
    counts = [getattr(layer, "out_channels", getattr(layer, "out_features", None)) for layer in slim.layers]
    assert [n for n in counts if n] == [4, 3, 5, 3]
    assert slim.out_shape((1, 8, 8)) == (3,)


def test_within_a_residual_only_what_the_sum_does_not_need_goes():
    slim = slimmer(RESIDUAL, (1, 8, 8), 0.5)
    assert [slim.layers[i].out_channels for i in (0,)] == [8]
    assert [layer.out_channels for layer in slim.layers[3].layers if layer.kind == "conv2d"] == [4, 8]
    assert [layer.out_channels for layer in slim.layers[4].layers if layer.kind == "conv2d"] == [4, 8]


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ([{"kind": "flatten"}, linear(3)], "gives the scores"),
        ([CONV, {"kind": "group_norm", "num_groups": 2}, {"kind": "flatten"}, linear(3)], "mix or need all"),
        ([CONV, RELU, {**CONV, "groups": 4}, {"kind": "global_avg_pool2d"}, linear(3)], "mix or need all"),
    ],
)
def test_what_cannot_lose_channels_says_why(layers, why):
    with pytest.raises(SpecError, match=why):
        slimmer(model_of(*layers), (1, 8, 8), 0.5)


@pytest.mark.parametrize(
    ("model", "shape", "least"),
    [(CHAIN, (1, 8, 8), 0.4), (RESIDUAL, (1, 8, 8), 0.1), (STEPS, WINDOW, 0.4), (OWN_SCALE, WINDOW, 0.4),
     (SKIP, (1, 8, 8), 0.2)],
    ids=["chain", "residual", "steps", "window_norm", "skip"],
)  # fmt: skip
def test_dropped_filters_that_were_zero_are_not_missed(model: ModelSpec, shape: AnyShape, least: float):
    """The truth is the wide model itself, its weakest filters and their statistics set to zero."""
    wide, slim = build(model, shape, seed=0).eval(), slimmer(model, shape, 0.5)
    narrow = build(slim, shape, seed=1).eval()
    _zero_what_goes(wide, model, slim)
    narrow.load_state_dict(slimmed(wide.state_dict(), slim, shape, narrow.state_dict()))
    x = torch.randn(5, *shape) if isinstance(shape, tuple) and len(shape) == 3 else torch.randn(5, 6, 3)
    with torch.no_grad():
        assert torch.allclose(wide(x), narrow(x), atol=1e-5)
    assert sum(p.numel() for p in narrow.parameters()) < (1 - least) * sum(
        p.numel() for p in wide.parameters()
    )


def _zero_what_goes(wide: nn.Module, model: ModelSpec, slim: ModelSpec) -> None:
    """Filters that leave (the weakest half by L1) give zero: weight, bias, running mean, and norm's shift."""

    def walk(rows: nn.Sequential, wides, slims) -> None:
        for i, (one, other) in enumerate(zip(wides, slims, strict=True)):
            if one.kind in ("residual", *AROUND):
                walk(rows[i].layers, one.layers, other.layers)
            if one.kind == "repeat":
                for turn in range(one.times):
                    walk(rows[i][turn], one.layers, other.layers)
        for chain in chains(wides):
            layer = rows[chain.maker]
            n = (
                slims[chain.maker]
                .model_dump()
                .get("out_channels", slims[chain.maker].model_dump().get("out_features"))
            )
            weak = layer.weight.detach().abs().flatten(1).sum(1).argsort(descending=True, stable=True)[n:]
            for module in (layer, *(rows[place] for place in chain.between)):
                for name in ("weight", "bias", "running_mean"):
                    tensor = getattr(module, name, None)
                    if tensor is not None and len(tensor) == len(layer.weight):
                        tensor.data[weak] = 0.0

    walk(wide, model.layers, slim.layers)


def test_a_generator_loses_channels_and_what_it_is_judged_by_stays():
    """The truth is the wide generator with its weakest channels at zero: of a linear layer those of the image
    that its numbers become, of a transposed convolution those along its second axis."""
    doubled = {"kind": "conv_transpose2d", "kernel_size": 4, "stride": 2, "padding": 1}
    made = [
        linear(24), {"kind": "unflatten", "height": 2, "width": 2}, NORM, RELU,
        {**doubled, "out_channels": 4, "bias": False}, NORM, RELU, {**doubled, "out_channels": 1},
        {"kind": "tanh"},
    ]  # fmt: skip
    judged = [CONV, RELU, {"kind": "flatten"}, linear(1)]
    model = ModelSpec.model_validate({"family": "gan", "layers": made, "decoder": judged})
    shape = Duel((1, 8, 8), (5,))
    slim = slimmer(model, shape, 0.5)
    assert (slim.layers[0].out_features, slim.layers[4].out_channels) == (12, 2)
    assert slim.decoder == model.decoder
    wide, narrow = build(model, shape, seed=0), build(slim, shape, seed=1)
    noise = torch.randn(9, 5)
    wide.train().generator(noise)  # the norms see something
    first, second = wide.generator[0], wide.generator[4]
    own = first.weight.detach().abs().view(6, -1).sum(1).argsort(descending=True, stable=True)
    sizes = second.weight.detach()[own[:3]].abs().sum((0, 2, 3))  # of what the first ones leave
    for norm, weak in ((2, own[3:]), (5, sizes.argsort(descending=True, stable=True)[2:])):
        wide.generator[norm].weight.data[weak] = wide.generator[norm].bias.data[weak] = 0.0
    narrow.load_state_dict(slimmed(wide.state_dict(), slim, shape, narrow.state_dict()))
    with torch.no_grad():
        assert torch.allclose(wide.eval().generator(noise), narrow.eval().generator(noise), atol=1e-5)
    judging = (wide.discriminator.state_dict(), narrow.discriminator.state_dict())
    assert all(torch.equal(judging[0][name], judging[1][name]) for name in judging[0])


def test_the_feed_forward_part_of_a_transformer_gets_narrower():
    model = ModelSpec.model_validate({
        "family": "encoder",
        "layers": [
            {"kind": "embedding", "embedding_dim": 8},
            {"kind": "transformer_encoder_layer", "nhead": 2, "dim_feedforward": 16, "dropout": 0.0},
            {"kind": "sequence_pool", "mode": "mean"}, linear(2),
        ],
    })  # fmt: skip
    shape = Tokens(6, 20)
    slim = slimmer(model, shape, 0.5)
    assert slim.layers[1].dim_feedforward == 8
    wide, narrow = build(model, shape, seed=0).eval(), build(slim, shape, seed=1).eval()
    first = wide[1].linear1
    weak = first.weight.detach().abs().sum(1).argsort(descending=True, stable=True)[8:]
    first.weight.data[weak], first.bias.data[weak] = 0.0, 0.0
    narrow.load_state_dict(slimmed(wide.state_dict(), slim, shape, narrow.state_dict()))
    ids = torch.randint(1, 20, (3, 6))
    with torch.no_grad():
        assert torch.allclose(wide(ids), narrow(ids), atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "cnn-mnist", "cnn-fashion", "cnn-rgb", "resnet-20", "mlp-image", "convnext-mini", "autoencoder",
        "vae", "dcgan", "unet-small",
    ],
)  # fmt: skip
def test_presets_lose_half_of_what_may_go(name: str):
    spec = PRESETS[name].spec
    shape = spec.task.input((3, 24, 24) if name in ("cnn-rgb", "unet-small") else (1, 28, 28), 10)
    slim = slimmer(spec.model, shape, 0.5)
    assert slim.n_params(shape) < 0.7 * spec.model.n_params(shape)
    wide, narrow = build(spec.model, shape, seed=0), build(slim, shape, seed=0)
    cut = slimmed(wide.state_dict(), slim, shape, narrow.state_dict())
    narrow.load_state_dict(cut)


def test_weights_of_another_model_are_refused():
    slim = slimmer(CHAIN, (1, 8, 8), 0.5)
    other = build(model_of(CONV, RELU, {"kind": "flatten"}, linear(3)), (1, 8, 8), seed=0)
    with pytest.raises(RunError, match="its parent's with fewer channels"):
        slimmed(other.state_dict(), slim, (1, 8, 8), build(slim, (1, 8, 8)).state_dict())
