"""A pretrained text encoder of Hugging Face as a module: loaded from safetensors, frozen, or with LoRA.

`transformers` and `peft` are imported when a network is built and not before: together they take seconds
and 150 MB, and most runs have no use for them. B texts, L tokens, D features, K classes.
"""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

import contextlib
import logging
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.models.sequence import real
from workbench.specs.checkpoint_folder import Checkpoint
from workbench.specs.encoders import HEADS
from workbench.specs.errors import RunError, SpecError
from workbench.specs.pretrained import PretrainedText

MARK = "weights_mark"  # a number that other pretrained weights would not have


class Pretrained(nn.Module):
    """Token ids (B, L), 0 for padding, to scores (B, K), by the library's own network.

    Ids are the checkpoint's, but that its padding and 0 have changed places (`data.text.tokenizer` does the
    same), so that 0 is padding here too. With LoRA the state is that of the matrices and of the head alone:
    the pretrained weights come from their folder, and must be the same ones.
    Check: scores equal those of `AutoModelForSequenceClassification` with equal weights.
    """

    def __init__(self, layer: PretrainedText) -> None:
        super().__init__()
        found = layer.checkpoint()
        self.pad, self.pooling, self.style = found.pad, layer.pooling, found.family.style
        self.network = _network(layer, found)
        if layer.classifier_dropout is not None:
            _head_dropout(self).p = layer.classifier_dropout
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
        self.has_lora = layer.lora_rank is not None
        self.register_load_state_dict_pre_hook(refuse_others)
        if self.has_lora:
            self.register_buffer(MARK, torch.tensor(mark_of(found.folder, found.files)))
            self.register_state_dict_post_hook(without_resting)
            self.register_load_state_dict_post_hook(nothing_is_missing)

    def rates(self) -> Mapping[str, float]:
        """Parameter name → share of the learning rate; empty where all learn alike."""
        return self._rates

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        mask = real(ids)
        assert mask is not None, "ids are whole numbers"
        if self.pad:
            ids = torch.where(ids == 0, self.pad, torch.where(ids == self.pad, 0, ids))
        if self.pooling == "cls":
            return self.network(input_ids=ids, attention_mask=mask.long()).logits
        base = getattr(self.network, self.network.base_model_prefix)
        hidden = base(input_ids=ids, attention_mask=mask.long())[0]  # (B, L, D)
        shares = mask.unsqueeze(2).to(hidden.dtype)
        return self._head((hidden * shares).sum(dim=1) / shares.sum(dim=1))

    def _head(self, vector: torch.Tensor) -> torch.Tensor:
        """What the library's classifier makes of the first token, made of `vector` (B, D)."""
        net = self.network
        if self.style == "dense":
            return net.classifier(vector.unsqueeze(1))
        if self.style == "distil":
            return net.classifier(net.dropout(net.pre_classifier(vector).relu()))
        if self.style == "context":
            return net.classifier(net.dropout(net.pooler(vector.unsqueeze(1))))
        if self.style == "modern":
            return net.classifier(net.drop(net.head(vector)))
        base = getattr(net, net.base_model_prefix)
        if hasattr(base, "pooler_activation"):  # of ALBERT
            pooled = base.pooler_activation(base.pooler(vector))
        else:
            pooled = base.pooler(vector.unsqueeze(1))
        return net.classifier(net.dropout(pooled))


def _network(layer: PretrainedText, found: Checkpoint) -> Any:
    """The library's network with the checkpoint's weights, or random ones, and its classifier."""
    with quietly():
        import transformers  # noqa: PLC0415 - see above

        kinds: Any = transformers.AutoModelForSequenceClassification
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        config = transformers.AutoConfig.from_pretrained(found.folder, num_labels=layer.num_labels, **local)
        config.pad_token_id = found.pad
        if found.family.style == "modern":
            config.classifier_pooling = "cls"
        if layer.scratch:
            return kinds.from_config(config, dtype=torch.float32).train()
        network, told = kinds.from_pretrained(
            found.folder, config=config, use_safetensors=True, dtype=torch.float32,
            ignore_mismatched_sizes=layer.head == "new", output_loading_info=True, **local,
        )  # fmt: skip
    head = tuple(name.rpartition(".")[0] for name in found.family.head(1, 1, found.config))
    fresh = (*head, f"{network.base_model_prefix}.pooler")
    wrong = [*told["missing_keys"], *(item[0] for item in told["mismatched_keys"])]
    wrong = [name for name in wrong if not name.startswith(fresh)]
    if wrong:
        raise SpecError.of(
            "model.layers", f"the weights must be those of the {found.kind} that config.json describes",
            f"`{wrong[0]}` is missing or has another shape", "Fetch the model again.",
        )  # fmt: skip
    if layer.head == "new":
        _renew(network, found)
    return network.train()


def _renew(network: Any, found: Checkpoint) -> None:
    """A classifier as if the checkpoint had brought none: normal weights as the encoder's began, no bias."""
    std = float(found.config.get("initializer_range", 0.02))
    names = HEADS[found.family.style]
    for name in names if found.family.style != "modern" else names[1:]:  # its first was trained with the rest
        if name:
            module = network.get_submodule(name)
            nn.init.normal_(module.weight, std=std)
            nn.init.zeros_(module.bias)


def _head_dropout(model: Pretrained) -> nn.Dropout:
    net = model.network
    if model.style == "modern":
        return net.drop
    return net.classifier.dropout if model.style == "dense" else net.dropout


def _add_lora(network: Any, layer: PretrainedText, found: Checkpoint) -> None:
    """Pairs of small matrices beside the layer's targets, by `peft`, in place."""
    with quietly():
        import peft  # noqa: PLC0415 - see above

        options = peft.LoraConfig(
            r=layer.lora_rank, lora_alpha=layer.lora_alpha, lora_dropout=layer.lora_dropout,
            target_modules=list(layer.lora_shapes(found)), bias="none",
        )  # fmt: skip
        peft.inject_adapter_in_model(options, network)


def mark_of(folder: Path, weights: Sequence[Path]) -> int:
    """A checksum of the pretrained weights and of what config.json says of them."""
    mark = 0
    for path in (folder / "config.json", *weights):
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                mark = zlib.crc32(block, mark)
    return mark


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keeps the libraries from reporting new heads and weights left over: both are meant."""
    import transformers  # noqa: PLC0415 - see above

    log: Any = transformers.utils.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(logging.CRITICAL)
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()


# ---------------------------------------------------------------- the state with LoRA


def without_resting(module: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Leaves the pretrained weights out of a state."""
    for name in module._resting:
        state.pop(prefix + name, None)


def nothing_is_missing(module: Any, keys: Any) -> None:
    """Pretrained weights that a state leaves out are no fault."""
    resting = module._resting
    keys.missing_keys[:] = [
        key for key in keys.missing_keys if f"network.{key.partition('network.')[2]}" not in resting
    ]


def refuse_others(module: Any, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Weights of a run with LoRA are matrices beside the pretrained ones: they fit these alone."""
    names = [name for name in state if name.startswith(f"{prefix}network.")]
    has_lora = any(".lora_" in name for name in names)
    if names and has_lora != module.has_lora:
        fact = (
            "the checkpoint is of a run with LoRA" if has_lora else "the checkpoint is of a run without LoRA"
        )
        repair = "Set lora_rank as that run had it, or begin from the pretrained weights."
        raise RunError.of("checkpoint", "weights and layer must both have LoRA, or neither", fact, repair)
    mark = state.get(prefix + MARK)
    if module.has_lora and mark is not None and int(mark) != int(getattr(module, MARK)):
        raise RunError.of(
            "checkpoint", "LoRA's matrices belong to the pretrained weights they were learned beside",
            "the model's folder holds others now", "Put the former weights back into the folder.",
        )  # fmt: skip
