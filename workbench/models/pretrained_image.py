"""A pretrained image classifier of Hugging Face as a module: loaded from safetensors, frozen, or with LoRA.

B images, C channels, K classes. As models/pretrained.py, with which it shares its ways.
"""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.models.pretrained import (
    MARK,
    mark_of,
    nothing_is_missing,
    quietly,
    refuse_others,
    without_resting,
)
from workbench.specs.errors import SpecError
from workbench.specs.image_families import STRETCHED
from workbench.specs.image_folder import BUFFERS, ImageCheckpoint
from workbench.specs.image_names import today
from workbench.specs.pretrained_image import PretrainedImage


class PretrainedVision(nn.Module):
    """Images (B, C, H, W) on the 0..1 scale to scores (B, K), by the library's own network, which is given
    the colours as it was taught. Batch norms of what is frozen keep their statistics. With LoRA the state is
    that of the matrices and of the head alone.

    Check: scores equal those of `AutoModelForImageClassification` with equal weights.
    """

    def __init__(self, layer: PretrainedImage) -> None:
        super().__init__()
        found = layer.checkpoint()
        self.network = _network(layer, found)
        fixed = {name for name, parameter in self.network.named_parameters() if not parameter.requires_grad}
        depths, outer = _depths(layer, found)
        if layer.lora_rank is not None:
            _add_lora(self.network, layer, found)
        self._resting, self._rates = set[str](), dict[str, float]()
        for name, parameter in self.network.named_parameters():
            plain = name.replace(".base_layer.", ".")  # peft's word for what it stands beside
            depth = depths.get(plain, found.layers + 1)
            rests = plain in fixed or (".lora_" not in name and layer.rests(depth, plain in outer, found))
            parameter.requires_grad_(not rests)
            if rests:
                self._resting.add(f"network.{name}")
            elif layer.lr_decay != 1:
                self._rates[f"network.{name}"] = layer.rate(depths.get(_beside(plain), depth), found)
        self._still = [
            module
            for name, module in self.network.named_modules()
            if isinstance(module, _BatchNorm) and f"network.{name}.weight" in self._resting
        ]
        mean, std = (torch.tensor(part).view(-1, 1, 1) for part in (found.mean, found.std))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.flipped, self.patch = found.processor.flipped, found.patch
        self.is_cut = found.kind == "siglip2"  # it is given patches, not images
        # A Transformer's places are stretched where images are not of the size that it was taught at.
        self.more = {"interpolate_pos_encoding": True} if found.kind in STRETCHED else {}
        self.has_lora = layer.lora_rank is not None
        self.register_load_state_dict_pre_hook(refuse_others)
        if self.has_lora:
            self.register_buffer(MARK, torch.tensor(mark_of(found.folder, found.files)))
            self.register_state_dict_post_hook(without_resting)
            self.register_load_state_dict_post_hook(nothing_is_missing)

    def rates(self) -> Mapping[str, float]:
        """Parameter name → share of the learning rate; empty where all learn alike."""
        return self._rates

    def train(self, mode: bool = True) -> PretrainedVision:
        super().train(mode)
        self.hold_still()
        return self

    def hold_still(self) -> None:
        """Batch norms of frozen layers use the statistics they have, as in evaluation."""
        for module in self._still:
            module.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scaled = ((x.flip(1) if self.flipped else x) - self.mean) / self.std
        told = self.network(**(_patches(scaled, self.patch) if self.is_cut else {"pixel_values": scaled}),
                            **self.more)  # fmt: skip
        return told.logits if "logits" in told else told.last_hidden_state


def _patches(x: torch.Tensor, side: int) -> dict[str, torch.Tensor]:
    """Images (B, C, H, W) as the patches (B, N, P * P * C) that SigLIP 2 reads, none of them padding."""
    rows, columns = x.shape[2] // side, x.shape[3] // side
    cut = x.unflatten(3, (columns, side)).unflatten(2, (rows, side))  # (B, C, R, P, N/R, P)
    flat = cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    mask = torch.ones(flat.shape[:2], dtype=torch.long, device=x.device)
    shapes = torch.tensor([[rows, columns]] * len(x))
    return {"pixel_values": flat, "pixel_attention_mask": mask, "spatial_shapes": shapes}


def _depths(layer: PretrainedImage, found: ImageCheckpoint) -> tuple[dict[str, int], set[str]]:
    """Depths of the weights by their names in today's network, and those that are none of the base's."""
    names = {name: today(name, found.kind) for name in found.weights(layer.num_labels)}
    return (
        {new: found.depth(name) for name, new in names.items()},
        {new for name, new in names.items() if found.is_outer(name)},
    )


def _beside(name: str) -> str:
    """The weight that a matrix of LoRA stands beside."""
    return f"{name.partition('.lora_')[0]}.weight" if ".lora_" in name else name


def _network(layer: PretrainedImage, found: ImageCheckpoint) -> Any:
    """The library's network with the checkpoint's weights, or random ones, and its classifier."""
    with quietly():
        import transformers  # noqa: PLC0415 - see models/pretrained.py

        kinds: Any = transformers.AutoModelForImageClassification
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        config = transformers.AutoConfig.from_pretrained(found.folder, num_labels=layer.num_labels, **local)
        attention = (
            {"attn_implementation": "eager"} if found.kind == "data2vec-vision" else {}
        )  # it cannot change
        config.architectures = config.architectures or []  # it looks there for one with a teacher
        if layer.scratch:
            return kinds.from_config(config, dtype=torch.float32, **attention).train()
        network, told = kinds.from_pretrained(
            found.folder, config=config, use_safetensors=True, dtype=torch.float32,
            ignore_mismatched_sizes=layer.head == "new", output_loading_info=True, **local,
            **attention,
        )  # fmt: skip
    wrong = [*told["missing_keys"], *(item[0] for item in told["mismatched_keys"])]
    wrong = [name for name in wrong if not found.is_outer(name) and name.rpartition(".")[2] not in BUFFERS]
    if wrong:
        raise SpecError.of(
            "model.layers", f"the weights must be those of the {found.kind} that config.json describes",
            f"`{wrong[0]}` is missing or has another shape", "Fetch the model again.",
        )  # fmt: skip
    if layer.head == "new":
        for name in found.family.heads:
            head = network.get_submodule(name)
            nn.init.normal_(head.weight, std=float(found.part.get("initializer_range", 0.02)))
            nn.init.zeros_(head.bias)
    return network.train()


def _add_lora(network: Any, layer: PretrainedImage, found: ImageCheckpoint) -> None:
    """Pairs of small matrices beside the layer's targets, by `peft`, in place."""
    with quietly():
        import peft  # noqa: PLC0415 - see models/pretrained.py

        options = peft.LoraConfig(
            r=layer.lora_rank, lora_alpha=layer.lora_alpha, lora_dropout=layer.lora_dropout,
            target_modules=[today(name, found.kind) for name in layer.lora_shapes(found)], bias="none",
        )  # fmt: skip
        peft.inject_adapter_in_model(options, network)
    for module in network.modules():
        inner = getattr(module, "base_layer", None)
        if isinstance(inner, nn.Conv2d):  # MobileNets ask their convolutions how far to pad
            module.stride, module.kernel_size, module.dilation = (
                inner.stride,
                inner.kernel_size,
                inner.dilation,
            )
