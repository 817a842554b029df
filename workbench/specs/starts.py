"""Stacks to begin with, fitted to the data: the one-click repair of an empty model."""

from __future__ import annotations

import math
from typing import Any

from workbench.specs.base import AnyShape, Duel, Pair, Picture, Shape, Tokens, Window
from workbench.specs.errors import Edit, Fix, Path
from workbench.specs.forecasts import forecaster
from workbench.specs.picture_starts import autoencoder, discriminator, generator, unet

Raw = dict[str, Any]
WIDTH = 128


def start(
    shape: AnyShape, n_classes: int, per_token: bool, has_encoder: bool = False, has_decoder: bool = False
) -> Fix:
    """What learns this data: a small CNN, a text classifier, a small GPT, or an encoder and a decoder."""
    if isinstance(shape, Pair):
        edits = [] if has_decoder else _inserted(decoder(n_classes), ("decoder",))
        if not has_encoder:
            edits = [*_inserted(encoder(), ()), *edits]
        return Fix(label="Start with a small Transformer", edits=tuple(edits))
    if isinstance(shape, Duel):
        edits = [] if has_decoder else _inserted(discriminator(shape.image), ("decoder",))
        edits = edits if has_encoder else [*_inserted(generator(shape.image), ()), *edits]
        return Fix(label="Start with a small DCGAN", edits=tuple(edits))
    if isinstance(shape, Picture):
        layers = unet(shape.gives[0]) if shape.scored else autoencoder(shape)
        label = "Start with a small U-Net" if shape.scored else "Start with a small autoencoder"
        return Fix(label=f"{label} ({len(layers)} layers)", edits=tuple(_inserted(layers, ())))
    if isinstance(shape, Tokens) and per_token:
        layers = gpt(n_classes)
        label = f"Start with a small GPT ({len(layers)} layers)"
    elif isinstance(shape, Window):
        layers = forecaster(shape, n_classes)
        label = f"Start with a linear forecast ({len(layers)} layers)"
    elif isinstance(shape, Tokens):
        layers = [
            {"kind": "embedding", "embedding_dim": 64},
            {"kind": "lstm", "hidden_size": 64, "bidirectional": True},
            {"kind": "sequence_pool", "mode": "max"},
            {"kind": "linear", "out_features": n_classes},
        ]
        label = f"Start with a small LSTM ({len(layers)} layers)"
    elif len(shape) == 1:
        layers = table(n_classes)
        label = f"Start with a small network for tables ({len(layers)} layers)"
    else:
        layers, label = _cnn(shape, n_classes)
    return Fix(label=label, edits=tuple(_inserted(layers, ())))


def table(n_scores: int) -> list[Raw]:
    """Two dense layers on the columns of a table."""
    return [
        {"kind": "column_embedding"},
        {"kind": "linear", "out_features": WIDTH},
        {"kind": "relu"},
        {"kind": "dropout", "p": 0.1},
        {"kind": "linear", "out_features": WIDTH // 2},
        {"kind": "relu"},
        {"kind": "linear", "out_features": n_scores},
    ]


def gpt(vocabulary: int, width: int = WIDTH, layers: int = 2) -> list[Raw]:
    """A decoder-only Transformer: its layers see earlier tokens only."""
    block = {
        "kind": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 4 * width, "dropout": 0.0,
        "activation": "gelu", "norm_first": True, "causal": True,
    }  # fmt: skip
    return [
        {"kind": "embedding", "embedding_dim": width, "std": 0.02},
        {"kind": "positions"},
        {"kind": "repeat", "times": layers, "layers": [block]},
        {"kind": "layer_norm"},
        {"kind": "linear", "out_features": vocabulary, "bias": False},
    ]


def encoder(width: int = WIDTH, layers: int = 2) -> list[Raw]:
    """The stack that reads."""
    block = {
        "kind": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 4 * width, "norm_first": True,
    }  # fmt: skip
    return [
        {"kind": "embedding", "embedding_dim": width, "scale": True, "std": 0.088},
        {"kind": "positions", "encoding": "sinusoidal", "dropout": 0.1},
        {"kind": "repeat", "times": layers, "layers": [block]},
        {"kind": "layer_norm"},
    ]


def decoder(vocabulary: int, width: int = WIDTH, layers: int = 2) -> list[Raw]:
    """The stack that writes."""
    block = {
        "kind": "transformer_decoder_layer", "nhead": 4, "dim_feedforward": 4 * width, "norm_first": True,
    }  # fmt: skip
    first, second, _, norm = encoder(width)
    return [
        first, second, {"kind": "repeat", "times": layers, "layers": [block]}, norm,
        {"kind": "linear", "out_features": vocabulary},
    ]  # fmt: skip


def _inserted(layers: list[Raw], prefix: Path) -> list[Edit]:
    return [Edit(action="insert", path=(*prefix, i), layer=layer) for i, layer in enumerate(layers)]


def _cnn(shape: Shape, n_classes: int) -> tuple[list[Raw], str]:
    """A small CNN whose poolings bring the side down to 4 to 7 pixels.

    Images below 8 pixels are too small to be halved: they go straight to the scores.
    """
    poolings = max(0, min(6, int(math.log2(min(shape[1:]) / 4)))) if len(shape) == 3 else 0
    layers: list[Raw] = []
    for i in range(poolings):
        width = min(64, 16 * 2**i)
        layers += [
            {"kind": "conv2d", "out_channels": width, "kernel_size": 3, "padding": 1, "bias": False},
            {"kind": "batch_norm"},  # learns in a few epochs what takes many without
            {"kind": "relu"},
            {"kind": "max_pool2d"},
        ]
    layers += [{"kind": "flatten"}, {"kind": "linear", "out_features": n_classes}]
    if poolings:
        return layers, f"Start with a small CNN ({len(layers)} layers)"
    return layers, f"Add flatten and linear ({n_classes})"
