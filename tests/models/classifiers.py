"""Small image classifiers as their makers would save them: random weights as safetensors, and a processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

SIZES: dict[str, dict[str, Any]] = {
    "vit": {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32,
            "image_size": 32, "patch_size": 8},
    "dinov2": {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "mlp_ratio": 2,
               "image_size": 32, "patch_size": 8},
    "swin": {"embed_dim": 8, "depths": [2, 1], "num_heads": [1, 2], "window_size": 4, "image_size": 32,
             "patch_size": 4},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16, 24], "depths": [2, 1, 1], "layer_type": "basic"},
    "regnet": {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1],
               "groups_width": 8},
    "convnext": {"hidden_sizes": [8, 16, 24], "depths": [2, 1, 1], "num_stages": 3},
    "convnextv2": {"hidden_sizes": [8, 16, 24], "depths": [2, 1, 1], "num_stages": 3},
}  # fmt: skip
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def saved(kind: str, folder: Path, *, labels: int | None = 3, seed: int = 0, **config: Any) -> Path:
    """A checkpoint of that kind. labels: classes of its head; None: as AutoModel saves it, without one."""
    from transformers import CONFIG_MAPPING, AutoModel, AutoModelForImageClassification

    settings = CONFIG_MAPPING[kind](**{**SIZES[kind], **config})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if labels is None:
            network = AutoModel.from_config(settings)
        else:
            settings.num_labels = labels
            network = AutoModelForImageClassification.from_config(settings)
        for name, parameter in network.named_parameters():  # zeros and ones would hide a mistake
            torch.nn.init.normal_(parameter, mean=1.0 if "normalization.weight" in name else 0.0, std=0.2)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                torch.nn.init.normal_(buffer, std=0.2)
    network.save_pretrained(folder)
    processor = {
        "image_mean": MEAN,
        "image_std": STD,
        "do_normalize": True,
        "size": {"height": 32, "width": 32},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder
