"""A pretrained image classifier of Hugging Face as a module: loaded from safetensors, frozen, or with LoRA.

B images, C channels, K classes. As models/pretrained.py, with which it shares its ways.
"""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

import inspect
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
from workbench.specs.image_folder import ImageCheckpoint
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
        if layer.lora_rank is not None:
            _add_lora(self.network, layer, found)
        self._resting, self._rates = set[str](), dict[str, float]()
        for name, parameter in self.network.named_parameters():
            plain = name.replace(".base_layer.", ".")  # peft's word for what it stands beside
            rests = plain in fixed or (".lora_" not in name and layer.is_frozen(plain, found))
            parameter.requires_grad_(not rests)
            if rests:
                self._resting.add(f"network.{name}")
            elif layer.lr_decay != 1:
                self._rates[f"network.{name}"] = layer.rate(plain, found)
        self._still = [
            module
            for name, module in self.network.named_modules()
            if isinstance(module, _BatchNorm) and layer.is_frozen(f"{name}.weight", found)
        ]
        mean, std = (torch.tensor(part).view(-1, 1, 1) for part in (found.mean, found.std))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        # A Transformer's places are stretched where images are not of the size that it was taught at.
        accepted = inspect.signature(self.network.forward).parameters
        self.more = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in accepted else {}
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
        scaled = (x - self.mean) / self.std
        return self.network(pixel_values=scaled, **self.more).logits


def _network(layer: PretrainedImage, found: ImageCheckpoint) -> Any:
    """The library's network with the checkpoint's weights, or random ones, and its classifier."""
    with quietly():
        import transformers  # noqa: PLC0415 - see models/pretrained.py

        kinds: Any = transformers.AutoModelForImageClassification
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        config = transformers.AutoConfig.from_pretrained(found.folder, num_labels=layer.num_labels, **local)
        if layer.scratch:
            return kinds.from_config(config, dtype=torch.float32).train()
        network, told = kinds.from_pretrained(
            found.folder, config=config, use_safetensors=True, dtype=torch.float32,
            ignore_mismatched_sizes=layer.head == "new", output_loading_info=True, **local,
        )  # fmt: skip
    wrong = [*told["missing_keys"], *(item[0] for item in told["mismatched_keys"])]
    wrong = [name for name in wrong if not name.startswith(f"{found.family.head}.")]
    if wrong:
        raise SpecError.of(
            "model.layers", f"the weights must be those of the {found.kind} that config.json describes",
            f"`{wrong[0]}` is missing or has another shape", "Fetch the model again.",
        )  # fmt: skip
    if layer.head == "new":
        head = network.get_submodule(found.family.head)
        nn.init.normal_(head.weight, std=float(found.config.get("initializer_range", 0.02)))
        nn.init.zeros_(head.bias)
    return network.train()


def _add_lora(network: Any, layer: PretrainedImage, found: ImageCheckpoint) -> None:
    """Pairs of small matrices beside the layer's targets, by `peft`, in place."""
    base = f"{found.family.base}."
    names = []
    for name, module in network.named_modules():
        index = found.layer_of(f"{name.removeprefix(base)}.") if name.startswith(base) else None
        is_target = isinstance(module, nn.Linear) and _own_name(name) in _today(layer.targets(found))
        if is_target and index is not None and index >= layer.freeze_layers:
            names.append(name)
    with quietly():
        import peft  # noqa: PLC0415 - see models/pretrained.py

        options = peft.LoraConfig(
            r=layer.lora_rank, lora_alpha=layer.lora_alpha, lora_dropout=layer.lora_dropout,
            target_modules=names, bias="none",
        )  # fmt: skip
        peft.inject_adapter_in_model(options, network)


def _own_name(name: str) -> str:
    return name.rpartition(".")[2]


# Linear layers of attention as files name them, and as today's library does.
RENAMED = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}


def _today(targets: tuple[str, ...]) -> set[str]:
    return set(targets) | {RENAMED[name] for name in targets if name in RENAMED}
