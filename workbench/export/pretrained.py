"""A pretrained encoder as a script on `transformers`: what the layer trains, and nothing of the workbench."""

from __future__ import annotations

from workbench.specs.base import Tokens
from workbench.specs.checkpoint_folder import Checkpoint
from workbench.specs.errors import SpecError
from workbench.specs.model import ModelSpec
from workbench.specs.pretrained import PretrainedText

SCRIPT = '''"""{title}

Input: (B, L) token ids of the model's own tokenizer, L up to {length}, and a mask (B, L) that is 1 where they
are. Output: (B, {classes}) scores, one per class. {parameters:,} parameters. Written by the workbench; needs
PyTorch, transformers{more}.
"""

import torch
from torch import nn
from transformers import {auto}AutoModelForSequenceClassification, PreTrainedTokenizerFast

SOURCE = {source!r}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
{network}
{setup}
    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
{forward}

if __name__ == "__main__":
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=SOURCE + "/tokenizer.json", pad_token={pad!r})
    model = Net().eval()
    # To use trained weights, exported from the workbench:
    #   from safetensors.torch import load_file
    #   weights = load_file("weights.safetensors")
    #   model.load_state_dict({{name.removeprefix("0."): w for name, w in weights.items()}}, strict=False)
    batch = tokenizer(["A text.", "Another one."], padding=True, truncation=True, max_length={length},
                      return_tensors="pt")
    print(sum(p.numel() for p in model.parameters()), "parameters")
    print(model(batch["input_ids"], batch["attention_mask"]))
'''

LOADED = """        self.network = AutoModelForSequenceClassification.from_pretrained(
            SOURCE, num_labels={classes}, use_safetensors=True, ignore_mismatched_sizes=True
        )"""
RANDOM = """        config = AutoConfig.from_pretrained(SOURCE, num_labels={classes})
        self.network = AutoModelForSequenceClassification.from_config(config)"""

# style of head -> what it makes of one vector (B, D), in the library's own parts
HEADS = {
    "pooler": "net.classifier(net.dropout(net.{base}.pooler(vector.unsqueeze(1))))",
    "dense": "net.classifier(vector.unsqueeze(1))",
    "distil": "net.classifier(net.dropout(net.pre_classifier(vector).relu()))",
    "context": "net.classifier(net.dropout(net.pooler(vector.unsqueeze(1))))",
    "modern": "net.classifier(net.drop(net.head(vector)))",
}
ALBERT = "net.classifier(net.dropout(net.{base}.pooler_activation(net.{base}.pooler(vector))))"


def pretrained_code(model: ModelSpec, shape: Tokens, title: str) -> str:
    """The script. Check: run, its module has `model.n_params(shape)` parameters, and with equal weights equal
    scores. Raises: SpecError where other layers stand around the encoder."""
    layer = model.layers[0]
    if len(model.layers) != 1 or not isinstance(layer, PretrainedText):
        raise SpecError.of(
            "model.layers", "the code of a pretrained encoder is written where it stands alone",
            f"the model has {len(model.layers)} layers", "Take the others away.",
        )  # fmt: skip
    found = layer.checkpoint()
    return SCRIPT.format(
        title=title, length=shape.length, classes=layer.num_labels, parameters=layer.n_params(shape),
        source=str(found.folder), setup=_setup(layer, found), forward=_forward(layer, found),
        network=(RANDOM if layer.scratch else LOADED).format(classes=layer.num_labels),
        auto="AutoConfig, " if layer.scratch else "",
        more=" and peft" if layer.lora_rank is not None else "", pad=_pad(found),
    )  # fmt: skip


def _setup(layer: PretrainedText, found: Checkpoint) -> str:
    lines = []
    if layer.lora_rank is not None:
        targets = ", ".join(repr(name) for name in layer.lora_shapes(found))
        lines += [
            "from peft import LoraConfig, inject_adapter_in_model", "",
            f"targets = [{targets}]",
            f"options = LoraConfig(r={layer.lora_rank}, lora_alpha={layer.lora_alpha}, "
            f"lora_dropout={layer.lora_dropout}, target_modules=targets)",
            "inject_adapter_in_model(options, self.network)",
        ]  # fmt: skip
    resting = sorted({_group(name, found) for name in layer.weights(found) if layer.is_frozen(name, found)})
    if layer.lora_rank is None and resting:
        lines += [
            f"resting = {tuple(resting)!r}",
            "for name, parameter in self.network.named_parameters():",
            "    parameter.requires_grad_(not name.startswith(resting))",
        ]
    return "".join(f"        {line}\n" if line else "\n" for line in lines)


def _group(name: str, found: Checkpoint) -> str:
    """The module that a frozen weight is frozen with: an encoder layer, or the part that it stands in."""
    base, inner = f"{found.family.base}.", name.removeprefix(f"{found.family.base}.")
    index = found.family.layer_of(inner)
    return f"{base}{found.family.layers}.{index}." if index is not None else f"{name.rpartition('.')[0]}."


def _forward(layer: PretrainedText, found: Checkpoint) -> str:
    if layer.pooling == "cls":
        return "        return self.network(input_ids=ids, attention_mask=mask).logits\n"
    base = found.family.base
    head = (ALBERT if found.family.shared else HEADS[found.family.style]).format(base=base)
    return (
        "        net = self.network\n"
        f"        hidden = net.{base}(input_ids=ids, attention_mask=mask)[0]  # (B, L, {found.hidden})\n"
        "        shares = mask.unsqueeze(2).to(hidden.dtype)\n"
        "        vector = (hidden * shares).sum(dim=1) / shares.sum(dim=1)  # the mean over the tokens\n"
        f"        return {head}\n"
    )


def _pad(found: Checkpoint) -> str:
    return "<pad>" if found.family.offset else "[PAD]"
