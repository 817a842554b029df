"""Named runs on tables: complete, ready to run, each on data that ships with the product."""

from __future__ import annotations

from typing import Any

Raw = dict[str, Any]
RELU: Raw = {"kind": "relu"}


def linear(out_features: int) -> Raw:
    return {"kind": "linear", "out_features": out_features}


def dropout(p: float) -> Raw:
    return {"kind": "dropout", "p": p}


def adamw(lr: float, epochs: float, batch: int = 256, weight_decay: float = 1e-4, **more: Any) -> Raw:
    """AdamW along a cosine."""
    optimizer = {"kind": "adamw", "lr": lr, "weight_decay": weight_decay}
    schedule = {"kind": "cosine", "warmup": 0.05}
    return {"optimizer": optimizer, "schedule": schedule, "batch_size": batch, "epochs": epochs, **more}


def dense(*widths: int, out: int, p: float = 0.1) -> list[Raw]:
    """Embeddings of the categories, dense layers with dropout, and the scores."""
    inner = [layer for width in widths for layer in (linear(width), RELU, dropout(p))]
    return [{"kind": "column_embedding"}, *inner, linear(out)]


def residual_mlp(width: int, blocks: int, out: int, p: float = 0.1) -> list[Raw]:
    """Dense layers around which the input is led (Gorishniy et al. 2021, ResNet for tables)."""
    inner = [{"kind": "batch_norm"}, linear(2 * width), RELU, dropout(p), linear(width), dropout(p)]
    block = {"kind": "residual", "layers": inner, "activation": "none"}
    first = [{"kind": "column_embedding"}, linear(width)]
    return [
        *first,
        {"kind": "repeat", "times": blocks, "layers": [block]},
        {"kind": "batch_norm"},
        RELU,
        linear(out),
    ]


def ft_transformer(width: int, blocks: int, heads: int, out: int, p: float = 0.1) -> list[Raw]:
    """Columns as steps, and attention among them (Gorishniy et al. 2021)."""
    block = {
        "kind": "transformer_encoder_layer", "nhead": heads, "dim_feedforward": 2 * width, "dropout": p,
        "activation": "gelu", "norm_first": True,
    }  # fmt: skip
    return [
        {"kind": "column_tokens", "embedding_dim": width},
        {"kind": "class_token"},
        {"kind": "repeat", "times": blocks, "layers": [block]},
        {"kind": "layer_norm"},
        {"kind": "sequence_pool", "mode": "first"},
        linear(out),
    ]


TABLE_PRESETS: list[tuple[Any, ...]] = [
    (
        "mlp-table",
        "A dense network for tables",
        "Learned vectors for categories beside the numbers, and two dense layers. A good first choice.",
        {
            "data": {"name": "adult-sample", "table": {"numbers": "quantile"}},
            "model": {"family": "mlp", "layers": dense(256, 128, out=2, p=0.2)},
            "training": adamw(1e-3, 12, 64, 0.05),
        },
    ),
    (
        "resmlp-table",
        "A residual network for tables",
        "Dense layers with shortcuts and batch norm, here for a number: how good a wine is judged to be.",
        {
            "data": {"name": "wine-quality", "table": {"numbers": "quantile"}},
            "model": {"family": "mlp", "layers": residual_mlp(128, 2, 1, 0.2)},
            "task": {"kind": "regression"},
            "training": adamw(2e-3, 40, 128, 0.01),
        },
    ),
    (
        "ft-transformer",
        "Attention among columns",
        "Each column is a step, as words are in a text; watch which columns look at which.",
        {
            "data": {"name": "adult-sample", "table": {"numbers": "quantile"}},
            "model": {"family": "encoder", "layers": ft_transformer(64, 2, 4, 2)},
            "training": adamw(1e-3, 8, 256, 1e-5),
        },
    ),
    (
        "mlp-big",
        "A big dense network with one output",
        "1,000 numbers through 500, 250 and 100 units to one score: 650,951 parameters.",
        {
            "data": {"name": "thousand-columns", "table": {"categories": "one_hot"}},
            "model": {
                "family": "mlp",
                "layers": [linear(500), RELU, linear(250), RELU, linear(100), RELU, linear(1)],
            },
            "training": {
                "optimizer": {"kind": "adam", "lr": 1e-3},
                "batch_size": 64,
                "epochs": 6,
                "early_stopping": {"metric": "val/loss", "patience": 3},
            },
        },
    ),
]
