"""Small image classifiers as their makers would save them: random weights as safetensors, and a processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

Config = dict[str, Any]

VIT: Config = {
    "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
WORDS: Config = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "vocab_size": 50,
}  # fmt: skip
BOTH: Config = {"vision_config": VIT, "text_config": WORDS}
SWIN: Config = {
    "embed_dim": 8, "depths": [2, 1], "num_heads": [1, 2], "window_size": 4, "image_size": 32,
    "patch_size": 4,
}  # fmt: skip
STAGES: Config = {"hidden_sizes": [8, 16, 24], "depths": [2, 1, 1]}
FOUR: Config = {"hidden_sizes": [8, 16, 24, 32], "depths": [2, 1, 1, 1]}
HEADS: Config = {**FOUR, "num_attention_heads": [1, 2, 2, 4]}
MOBILE: Config = {"depth_multiplier": 0.25, "min_depth": 8}

SIZES: dict[str, Config] = {
    "vit": VIT,
    "deit": VIT,
    "vit_msn": VIT,
    "ijepa": VIT,
    "beit": VIT,
    "data2vec-vision": VIT,
    "dinov2": {**VIT, "mlp_ratio": 2},
    "dinov2_with_registers": {**VIT, "mlp_ratio": 2, "num_register_tokens": 2},
    "clip": BOTH,
    "metaclip_2": BOTH,
    "siglip": BOTH,
    "siglip2": {**BOTH, "vision_config": {**VIT, "num_patches": 16}},
    "swin": SWIN,
    "swinv2": SWIN,
    "donut-swin": SWIN,
    "focalnet": {"embed_dim": 8, "depths": [2, 1], "focal_levels": [2, 2], "focal_windows": [3, 3],
                 "hidden_sizes": [8, 16]},
    "resnet": {**STAGES, "embedding_size": 8, "layer_type": "basic"},
    "regnet": {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1],
               "groups_width": 8},
    "bit": {**STAGES, "embedding_size": 8, "num_groups": 4},
    "convnext": {**STAGES, "num_stages": 3},
    "convnextv2": {**STAGES, "num_stages": 3},
    "mobilenet_v1": MOBILE,
    "mobilenet_v2": MOBILE,
    "mobilevit": {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 32],
                  "num_attention_heads": 2, "image_size": 32, "expand_ratio": 2.0},
    "mobilevitv2": {"width_multiplier": 0.125, "image_size": 64, "base_attn_unit_dims": [128, 192, 256],
                    "n_attn_blocks": [1, 2, 1]},
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.5, "hidden_dim": 320,
                     "image_size": 32},
    "poolformer": FOUR,
    "levit": {"hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 2, 2], "depths": [1, 2, 1],
              "key_dim": [4, 4, 4], "image_size": 64, "mlp_ratio": [2, 2, 2], "attention_ratio": [2, 2, 2],
              "down_ops": [["Subsample", 4, 4, 2, 2, 2], ["Subsample", 4, 4, 2, 2, 2]]},
    "cvt": {"embed_dim": [8, 16, 24], "depth": [1, 2, 3], "num_heads": [1, 2, 2]},
    "hgnet_v2": {"stem_channels": [3, 8, 8], "stage_in_channels": [8, 16], "stage_mid_channels": [8, 8],
                 "stage_out_channels": [16, 24], "stage_num_blocks": [1, 2],
                 "stage_downsample": [False, True],
                 "stage_light_block": [False, True], "stage_kernel_size": [3, 3],
                 "stage_numb_of_layers": [2, 2], "depths": [1, 2], "hidden_sizes": [16, 24],
                 "embedding_size": 8},
    "hiera": {"embed_dim": 8, "image_size": [32, 32], "patch_size": [3, 3], "patch_stride": [2, 2],
              "patch_padding": [1, 1], "depths": [1, 2], "num_heads": [1, 2], "query_stride": [2, 2],
              "masked_unit_size": [4, 4], "num_query_pool": 1},
    "perceiver": {"num_latents": 4, "d_latents": 16, "d_model": 16, "num_self_attends_per_block": 2,
                  "num_self_attention_heads": 2, "num_cross_attention_heads": 1, "image_size": 32},
    "pp_lcnet": {"scale": 0.125, "class_expand": 32},
    "pvt": {**HEADS, "image_size": 32},
    "pvt_v2": {**HEADS, "image_size": 32},
    "segformer": HEADS,
    "swiftformer": {"embed_dims": [8, 16, 24, 32], "depths": [2, 1, 1, 1]},
    "textnet": {"stem_out_channels": 8, "hidden_sizes": [8, 8, 8, 16, 16],
                "conv_layer_kernel_sizes": [[[3, 3]], [[3, 3]], [[3, 3]], [[3, 3], [3, 1]]]},
}  # fmt: skip
CLASSES = {"perceiver": "PerceiverForImageClassificationLearned"}  # of several, where none is the usual one
SIDES = {"levit": 64, "mobilevitv2": 64}
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def shape_of(kind: str) -> tuple[int, int, int]:
    """(C, H, W) that a small one of that kind sees."""
    side = SIDES.get(kind, 32)
    return 3, side, side


def saved(
    kind: str,
    folder: Path,
    *,
    labels: int | None = 3,
    seed: int = 0,
    architecture: str | None = None,
    **config: Any,
) -> Path:
    """A checkpoint of that kind. labels: classes of its head; None: as AutoModel saves it, without one;
    architecture: its class, where there are several."""
    from transformers import CONFIG_MAPPING, AutoModel, AutoModelForImageClassification

    settings = CONFIG_MAPPING[kind](**{**SIZES[kind], **config})
    wanted = architecture or CLASSES.get(kind)
    settings.architectures = [wanted] if wanted else []
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
    side = shape_of(kind)[1]
    processor = {
        "image_mean": MEAN,
        "image_std": STD,
        "do_normalize": True,
        "do_flip_channel_order": False,
        "include_top": False,
        "size": {"height": side, "width": side},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder
