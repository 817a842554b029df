"""Presets on series: name, title, about, and the run as plain data."""

from __future__ import annotations

from typing import Any

Raw = dict[str, Any]

LOOK_BACK, HORIZON = 132, 12  # eleven years of months, the sun's own cycle; and the year that follows
FLAT: Raw = {"kind": "flatten"}
LAST: Raw = {"kind": "sequence_pool", "mode": "last"}


def linear(out_features: int) -> Raw:
    return {"kind": "linear", "out_features": out_features}


def straight(out_steps: int, **more: Any) -> Raw:
    return {"kind": "series_linear", "out_steps": out_steps, **more}


def causal(width: int, dilation: int) -> Raw:
    """Two convolutions that see the past alone, and a way around them (Bai et al. 2018)."""
    conv = {
        "kind": "conv1d", "out_channels": width, "kernel_size": 3, "dilation": dilation, "causal": True,
    }  # fmt: skip
    inner = [conv, {"kind": "relu"}, {"kind": "dropout", "p": 0.1}, conv]
    return {"kind": "residual", "layers": inner}


def months(**more: Any) -> Raw:
    """Monthly sunspots: a window of eleven years, and the year after."""
    return {
        "name": "sunspots", "validation": 0.2, "test": 0.2,
        "series": {"look_back": LOOK_BACK, "horizon": HORIZON, **more},
    }  # fmt: skip


def training(lr: float, epochs: float, batch_size: int = 64, **more: Any) -> Raw:
    return {
        "optimizer": {"kind": "adamw", "lr": lr, "weight_decay": 0.01},
        "schedule": {"kind": "cosine", "warmup": 0.1},
        "batch_size": batch_size, "epochs": epochs, "clip_norm": 1.0, **more,
    }  # fmt: skip


TASK: Raw = {"kind": "forecasting"}
BLOCK: Raw = {
    "kind": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 64, "dropout": 0.1,
    "norm_first": True,
}  # fmt: skip

SERIES_PRESETS: list[tuple[str, str, str, Raw]] = [
    (
        "dlinear",
        "Straight from past to future",
        "Trend and rest of a window, each led to the steps ahead by one matrix (DLinear): hard to beat, and "
        "learned in seconds.",
        {
            "data": months(),
            "model": {"family": "mlp", "layers": [straight(HORIZON), FLAT]},
            "task": TASK,
            "training": training(2e-3, 30),
        },
    ),
    (
        "lstm-forecast",
        "An LSTM that reads the past",
        "Reads eleven years of sunspots month by month, and tells the next twelve from its last state.",
        {
            "data": months(),
            "model": {
                "family": "rnn",
                "layers": [{"kind": "lstm", "hidden_size": 48}, LAST, linear(HORIZON)],
            },
            "task": TASK,
            "training": training(3e-3, 20),
        },
    ),
    (
        "tcn-forecast",
        "A temporal convolutional network",
        "Causal filters, each twice as far apart as those before, until the last step sees the whole window.",
        {
            "data": months(),
            "model": {
                "family": "cnn",
                "layers": [*(causal(24, 2**i) for i in range(5)), LAST, linear(HORIZON)],
            },
            "task": TASK,
            "training": training(2e-3, 15),
        },
    ),
    (
        "encoder-forecast",
        "An encoder that attends to the past",
        "A small Transformer that reads the window year by year, on the window's own scale; its heads show "
        "which years they look at.",
        {
            "data": months(),
            "model": {
                "family": "encoder",
                "layers": [{
                    "kind": "window_norm",
                    "layers": [
                        {"kind": "conv1d", "out_channels": 32, "kernel_size": 12, "stride": 12},
                        {"kind": "positions"}, {"kind": "repeat", "times": 2, "layers": [BLOCK]},
                        {"kind": "layer_norm"}, FLAT, linear(HORIZON),
                    ],
                }],
            },
            "task": TASK,
            "training": training(2e-3, 15),
        },
    ),
    (
        "quantile-forecast",
        "A forecast with its band",
        "Three quantiles of every step ahead by the pinball loss: four of five values should lie in between.",
        {
            "data": months(),
            "model": {"family": "mlp", "layers": [straight(3 * HORIZON), FLAT]},
            "task": {**TASK, "loss": "quantile", "quantiles": [0.1, 0.5, 0.9]},
            "training": training(1e-2, 30),
        },
    ),
]  # fmt: skip
