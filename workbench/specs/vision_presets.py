"""Named runs of Transformers on images."""

from __future__ import annotations

from typing import Any

Raw = dict[str, Any]

FLIP: Raw = {"kind": "flip"}


def vit(
    patch: int, width: int, depth: int, heads: int, inner: int, classes: int, dropout: float = 0.0
) -> list[Raw]:
    """A Vision Transformer (Dosovitskiy et al. 2021): patches, a class token that gathers, places, and the
    encoder layers that texts have too, norms before."""
    layer = {
        "kind": "transformer_encoder_layer", "nhead": heads, "dim_feedforward": inner, "dropout": dropout,
        "activation": "gelu", "norm_first": True,
    }  # fmt: skip
    return [
        {"kind": "patch_embedding", "patch_size": patch, "embed_dim": width},
        {"kind": "class_token"},
        {"kind": "positions"},
        {"kind": "repeat", "times": depth, "layers": [layer]},
        {"kind": "layer_norm"},
        {"kind": "sequence_pool", "mode": "first"},
        {"kind": "linear", "out_features": classes},
    ]


def adamw(lr: float, epochs: float, batch: int, decay: float = 0.05) -> Raw:
    """AdamW along a cosine after a warm-up."""
    return {
        "optimizer": {"kind": "adamw", "lr": lr, "weight_decay": decay},
        "schedule": {"kind": "cosine", "warmup": 0.1},
        "clip_norm": 1.0, "batch_size": batch, "epochs": epochs,
    }  # fmt: skip


RESNET = "microsoft/resnet-18"  # 11.7 million parameters, 47 MB

# name, title, about, tree; and a checkpoint that must be fetched first
VISION_PRESETS: list[tuple[Any, ...]] = [
    (
        "vit-tiny",
        "A tiny Vision Transformer",
        "Sees a picture as 7×7 patches; watch where its heads look. 41,770 parameters.",
        {
            "data": {"name": "fashion-mnist-sample"},
            "model": {"family": "vit", "layers": vit(4, 48, 2, 4, 96, 10)},
            "training": adamw(2e-3, 10, 64),
        },
    ),
    (
        "vit-fashion",
        "A small Vision Transformer",
        "Four layers over 7×7 patches: 139,018 parameters, above 0.88 on the whole of Fashion-MNIST.",
        {
            "data": {"name": "fashion-mnist-sample", "augment": [FLIP]},
            "model": {"family": "vit", "layers": vit(4, 64, 4, 4, 128, 10)},
            "training": adamw(2e-3, 10, 128),
        },
    ),
    (
        "image-classifier",
        "A pretrained image classifier, fine-tuned",
        "Begins with weights that have seen a million pictures: ResNet-18, or any model. Its source takes "
        "the whole path of a model's folder, or a name that `workbench fetch` fetched.",
        {
            "data": {
                "name": "fashion-mnist-sample",
                "size": 64,
                "channels": 3,
                "normalize": "unit",
                "augment": [FLIP],
            },
            "model": {
                "family": "pretrained",
                "layers": [
                    {
                        "kind": "pretrained_image",
                        "source": RESNET,
                        "num_labels": 10,
                        "lr_decay": 0.8,
                        "freeze_embeddings": True,
                    },
                ],
            },
            "training": adamw(1e-3, 3, 32, decay=0.01),
        },
        RESNET,
    ),
]
