"""A pretrained image classifier as a script on `transformers`, and nothing of the workbench."""

from __future__ import annotations

from workbench.specs.base import Shape
from workbench.specs.checkpoint_folder import Shapes
from workbench.specs.errors import SpecError
from workbench.specs.image_families import STRETCHED
from workbench.specs.image_folder import ImageCheckpoint
from workbench.specs.image_names import today
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
        x = ({x} - self.mean) / self.std
{body}


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
BODY = "        return self.network(pixel_values=x{places}).{scores}"
CUT = """        rows, columns = x.shape[2] // {side}, x.shape[3] // {side}
        cut = x.unflatten(3, (columns, {side})).unflatten(2, (rows, {side}))
        x = cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)  # patches, as it reads them
        shapes = torch.tensor([[rows, columns]] * len(x))
        mask = torch.ones(x.shape[:2], dtype=torch.long, device=x.device)
        return self.network(pixel_values=x, pixel_attention_mask=mask, spatial_shapes=shapes).logits"""


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
        x="x.flip(1)" if found.processor.flipped else "x", body=_body(found),
    )  # fmt: skip


def _body(found: ImageCheckpoint) -> str:
    """What the forward pass gives back."""
    if found.kind == "siglip2":
        return CUT.format(side=found.patch)
    places = ", interpolate_pos_encoding=True" if found.kind in STRETCHED else ""
    return BODY.format(places=places, scores="last_hidden_state" if found.kind == "pp_lcnet" else "logits")


def _setup(layer: PretrainedImage, found: ImageCheckpoint) -> str:
    lines: list[str] = []
    if layer.lora_rank is not None:
        names = "\n".join(f"    {today(name, found.kind)!r}," for name in layer.lora_shapes(found))
        lines += [
            "from peft import LoraConfig, inject_adapter_in_model", "",
            f"targets = [\n{names}\n]",
            f"options = LoraConfig(r={layer.lora_rank}, lora_alpha={layer.lora_alpha}, "
            f"lora_dropout={layer.lora_dropout}, target_modules=targets)",
            "inject_adapter_in_model(options, self.network)",
            f"for name in {found.outer!r}:  # they learn too",
            "    self.network.get_submodule(name).requires_grad_(True)",
        ]  # fmt: skip
    weights = found.weights(layer.num_labels)
    if layer.lora_rank is None and (layer.freeze_embeddings or layer.freeze_layers):
        lines += [
            f"resting = {_resting(layer, found, weights)!r}",
            "for name, parameter in self.network.named_parameters():",
            "    parameter.requires_grad_(not name.startswith(resting))",
        ]
    text = "\n".join(lines)
    return "".join(f"        {line}\n" if line else "\n" for line in text.split("\n")) if text else ""


def _resting(layer: PretrainedImage, found: ImageCheckpoint, weights: Shapes) -> tuple[str, ...]:
    """The shortest beginnings of today's names that tell frozen weights from all others."""
    names = {today(name, found.kind): name for name in weights}
    rests = {new: layer.rests(found.depth(old), found.is_outer(old), found) for new, old in names.items()}
    learning = [new for new, is_frozen in rests.items() if not is_frozen]
    heads: list[str] = []
    for name in sorted(new for new, is_frozen in rests.items() if is_frozen):
        if name.startswith(tuple(heads)):
            continue
        words = name.split(".")
        beginnings = (".".join(words[:n]) + ("." if n < len(words) else "") for n in range(1, len(words) + 1))
        heads.append(next(b for b in beginnings if not any(other.startswith(b) for other in learning)))
    return tuple(heads)
