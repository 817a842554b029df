"""A pretrained image classifier as a script on `transformers`, and nothing of the workbench."""

from __future__ import annotations

import re

from workbench.specs.base import Shape
from workbench.specs.errors import SpecError
from workbench.specs.image_folder import TRANSFORMERS, ImageCheckpoint
from workbench.specs.model import ModelSpec
from workbench.specs.pretrained_image import PretrainedImage

SCRIPT = '''"""{title}

Input: (B, {channels}, {height}, {width}) colours from 0 to 1. Output: (B, {classes}) scores, one per class.
{parameters:,} parameters. Written by the workbench; needs PyTorch, transformers{more}.
"""

import torch
from torch import nn
from transformers import {auto}AutoModelForImageClassification

SOURCE = {source!r}
MEAN, STD = {mean}, {std}  # of the colours that it was taught on


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
{network}
{setup}        self.register_buffer("mean", torch.tensor(MEAN).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(-1, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(pixel_values=(x - self.mean) / self.std{places}).logits


if __name__ == "__main__":
    model = Net().eval()
    # To use trained weights, exported from the workbench:
    #   from safetensors.torch import load_file
    #   weights = load_file("weights.safetensors")
    #   model.load_state_dict({{name.removeprefix("0."): w for name, w in weights.items()}}, strict=False)
    print(sum(p.numel() for p in model.parameters()), "parameters")
    print(tuple(model(torch.rand(1, {channels}, {height}, {width})).shape))
'''

LOADED = """        self.network = AutoModelForImageClassification.from_pretrained(
            SOURCE, num_labels={classes}, use_safetensors=True, ignore_mismatched_sizes=True
        )"""
RANDOM = """        config = AutoConfig.from_pretrained(SOURCE, num_labels={classes})
        self.network = AutoModelForImageClassification.from_config(config)"""
STRETCHING = (*TRANSFORMERS[:1], "swin")  # whose forward takes places that are stretched
TODAY = {"query": "q_proj", "value": "v_proj", "key": "k_proj"}  # files' names in today's library


def pretrained_image_code(model: ModelSpec, shape: Shape, title: str) -> str:
    """The script. Check: run, its module has `model.n_params(shape)` parameters, and with equal weights equal
    scores. Raises: SpecError where other layers stand around the classifier."""
    layer = model.layers[0]
    if len(model.layers) != 1 or not isinstance(layer, PretrainedImage):
        raise SpecError.of(
            "model.layers", "the code of a pretrained classifier is written where it stands alone",
            f"the model has {len(model.layers)} layers", "Take the others away.",
        )  # fmt: skip
    found = layer.checkpoint()
    channels, height, width = shape
    return SCRIPT.format(
        title=title, channels=channels, height=height, width=width, classes=layer.num_labels,
        parameters=layer.n_params((channels, height, width)), source=str(found.folder), mean=list(found.mean),
        std=list(found.std), network=(RANDOM if layer.scratch else LOADED).format(classes=layer.num_labels),
        setup=_setup(layer, found), auto="AutoConfig, " if layer.scratch else "",
        more=" and peft" if layer.lora_rank is not None else "",
        places=", interpolate_pos_encoding=True" if found.kind in STRETCHING else "",
    )  # fmt: skip


def _setup(layer: PretrainedImage, found: ImageCheckpoint) -> str:
    lines: list[str] = []
    if layer.lora_rank is not None:
        wanted = sorted({TODAY.get(name, name) for name in layer.targets(found)})
        places = sorted({_place(name, found) for name in layer.lora_shapes(found)})
        within = "|".join(re.escape(place) for place in places)
        lines += [
            "from peft import LoraConfig, inject_adapter_in_model", "",
            f"targets = r\"(?:{within}).*(?:{'|'.join(wanted)})\"",
            f"options = LoraConfig(r={layer.lora_rank}, lora_alpha={layer.lora_alpha}, "
            f"lora_dropout={layer.lora_dropout}, target_modules=targets)",
            "inject_adapter_in_model(options, self.network)",
            "self.network.classifier.requires_grad_(True)  # it learns too",
        ]  # fmt: skip
    weights = layer.weights(found)
    resting = sorted({_place(name, found) for name in weights if layer.is_frozen(name, found)})
    if layer.lora_rank is None and resting:
        lines += [
            f"resting = {tuple(resting)!r}",
            "for name, parameter in self.network.named_parameters():",
            "    parameter.requires_grad_(not name.startswith(resting))",
        ]
    return "".join(f"        {line}\n" if line else "\n" for line in lines)


def _place(name: str, found: ImageCheckpoint) -> str:
    """The part of today's network that a weight is frozen with: a layer, or what stands before the layers."""
    base, inner = f"{found.family.base}.", name.removeprefix(f"{found.family.base}.")
    match = re.match(found.family.layers, inner)
    if match is None:
        return f"{base}{inner.partition('.')[0]}."
    place = match[0].replace("encoder.layer.", "layers.") if found.kind == "vit" else match[0]
    return f"{base}{place}"
