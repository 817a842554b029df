"""A pretrained text encoder of Hugging Face as one layer: what it costs and whether it fits, without torch.

Sources: discriminative rates as in Howard & Ruder 2018 (a factor per layer downwards); LoRA, Hu et al. 2021.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from workbench.specs.base import Shape, Tokens, knob
from workbench.specs.checkpoint_folder import Checkpoint, Shapes, numel, read
from workbench.specs.data import TextSpec
from workbench.specs.errors import LayerError, Problem
from workbench.specs.layer import Layer, need_tokens, refuse, set_to
from workbench.specs.pretrained_image import PretrainedImage


class PretrainedText(Layer):
    """A pretrained text encoder (BERT and its kind) with a classifier on it: tokens to a score per class."""

    group: ClassVar[str] = "text"
    takes_tokens: ClassVar[bool] = True
    kind: Literal["pretrained_text"] = "pretrained_text"
    source: str = knob(
        "", "The model: the whole path of its folder, or its name on huggingface.co", max_length=500
    )
    num_labels: int = knob(2, "Classes", ge=1, le=100_000)
    head: Literal["new", "kept"] = knob(
        "new", "new: a fresh classifier; kept: the one that the checkpoint brings, for the same classes"
    )
    pooling: Literal["cls", "mean"] = knob(
        "cls", "What the classifier reads. cls: the first token; mean: the mean over all tokens"
    )
    classifier_dropout: float | None = knob(
        None, "Dropout before the classifier; empty: as the checkpoint has it", ge=0, lt=1, advanced=True
    )
    freeze_embeddings: bool = knob(False, "The table of words stays as it is")
    freeze_layers: int = knob(0, "So many of the lowest encoder layers stay as they are", ge=0, le=1000)
    lr_decay: float = knob(
        1.0,
        "Each layer learns at this share of the rate of the layer above it; the classifier at the full rate",
        gt=0, le=1,
    )  # fmt: skip
    lora_rank: int | None = knob(
        None,
        "Learn small matrices of this rank beside the weights, which stay as they are (LoRA); empty: learn "
        "the weights themselves",
        ge=1, le=1024,
    )  # fmt: skip
    lora_alpha: float = knob(
        16.0, "What the matrices give counts times alpha / rank", gt=0, le=4096, advanced=True
    )
    lora_dropout: float = knob(0.0, "Dropout before the matrices", ge=0, lt=1, advanced=True)
    lora_targets: str = knob(
        "", "Linear layers that get them, with commas between; empty: attention's queries and values",
        max_length=500, advanced=True,
    )  # fmt: skip
    scratch: bool = knob(
        False, "Begin with random weights: shows what the pretrained ones are worth", advanced=True
    )

    def checkpoint(self) -> Checkpoint:
        """What its folder holds. Raises: LayerError."""
        return read(self.source)

    def out_shape(self, shape: Shape) -> Shape:
        tokens = need_tokens(self.kind, shape)
        found = self.checkpoint()
        self._fits(tokens, found)
        self._head_fits(found)
        self._freezes(found)
        if self.lora_rank is not None:
            self.lora_shapes(found)
        return (self.num_labels,)

    def n_params(self, shape: Shape) -> int:
        """All of its numbers, also those that stay as they are; see `n_frozen`."""
        found = self.checkpoint()
        return numel(self.weights(found)) + self.n_lora(found)

    def n_frozen(self, shape: Shape) -> int:
        """Numbers that stay as they are."""
        found = self.checkpoint()
        return sum(
            math.prod(size) for name, size in self.weights(found).items() if self.is_frozen(name, found)
        )

    def mult_adds(self, shape: Shape) -> int:
        """Every weight of the encoder layers at each step, and attention's products; the classifier once."""
        length, found = need_tokens(self.kind, shape).length, self.checkpoint()
        weights = self.weights(found)
        inside = {name: size for name, size in weights.items() if self.layer_of(name, found) is not None}
        turns = found.layers if found.family.shared else 1
        products = 2 * length * length * found.hidden * found.layers
        top = {name: size for name, size in weights.items() if self.depth(name, found) > found.layers}
        return length * (turns * numel(inside) + self.n_lora(found)) + products + numel(top)

    def activations(self, shape: Shape) -> int:
        """Numbers that a sample leaves behind in the layers that learn, and in those above them."""
        length, found = need_tokens(self.kind, shape).length, self.checkpoint()
        inner = max((size[0] for size in found.base.values() if len(size) == 2 and size[1] == found.hidden),
                    default=4 * found.hidden)  # fmt: skip
        inner = min(inner, 8 * found.hidden)  # the table of words is wider
        below = 0 if self.lora_rank is None and not self.freeze_embeddings else self.freeze_layers
        return length * (found.layers - min(below, found.layers)) * (12 * found.hidden + 2 * inner)

    # ------------------------------------------------------------ its weights

    def weights(self, found: Checkpoint) -> Shapes:
        """Name -> shape of every weight before LoRA, named as torch names them below the network."""
        family = found.family
        whole = {f"{family.base}.{name}": size for name, size in found.base.items()}
        if family.style == "pooler" and not any(name.startswith("pooler.") for name in found.base):
            inner = "pooler" if family.shared else "pooler.dense"  # made anew
            whole[f"{family.base}.{inner}.weight"] = (found.hidden, found.hidden)
            whole[f"{family.base}.{inner}.bias"] = (found.hidden,)
        return whole | family.head(found.hidden, self.num_labels, found.config)

    def layer_of(self, name: str, found: Checkpoint) -> int | None:
        """The encoder layer of a weight of the network; of ALBERT, which has one for all, the last."""
        index = found.family.layer_of(name.removeprefix(f"{found.family.base}."))
        return found.layers - 1 if index is not None and found.family.shared else index

    def depth(self, name: str, found: Checkpoint) -> int:
        """0 for the embeddings, i + 1 for encoder layer i, one more than all layers for what is on top."""
        prefix = f"{found.family.base}."
        index = self.layer_of(name, found)
        if index is not None:
            return index + 1
        is_top = not name.startswith(prefix) or found.family.is_top(name.removeprefix(prefix))
        return found.layers + 1 if is_top else 0

    def is_frozen(self, name: str, found: Checkpoint) -> bool:
        """Whether a weight (not one of LoRA's) stays as it is."""
        depth = self.depth(name, found)
        if self.lora_rank is not None:  # what the checkpoint brought; a pooler that it lacks must learn
            prefix = f"{found.family.base}."
            return name.startswith(prefix) and name.removeprefix(prefix) in found.base
        return self.freeze_embeddings if depth == 0 else depth <= min(self.freeze_layers, found.layers)

    def rate(self, name: str, found: Checkpoint) -> float:
        """The share of the learning rate at which a weight learns."""
        return float(self.lr_decay ** (found.layers + 1 - self.depth(name, found)))

    def lora_shapes(self, found: Checkpoint) -> Shapes:
        """Name -> (out, in) of the linear layers that get a pair of matrices. Raises: LayerError."""
        wanted = [part for part in re.split(r"[,\s]+", self.lora_targets) if part] or [*found.family.targets]
        shapes: dict[str, tuple[int, ...]] = {}
        hit: set[str] = set()
        offered: set[str] = set()
        for name, size in found.base.items():
            module, _, last = name.rpartition(".")
            index = found.family.layer_of(name)
            if index is None or last != "weight" or len(size) != 2:
                continue
            offered.add(module.rpartition(".")[2])
            names = {target for target in wanted if module == target or module.endswith(f".{target}")}
            hit |= names
            if names and (found.family.shared or index >= self.freeze_layers):
                shapes[f"{found.family.base}.{module}"] = size
        missing = [target for target in wanted if target not in hit]
        if missing:
            raise refuse(
                "LoRA goes to linear layers of the encoder",
                f"it has none that is called `{missing[0][:60]}`",
                f"Choose among {', '.join(sorted(offered))}, or leave lora_targets empty.",
                set_to(lora_targets=""),
            )  # fmt: skip
        if not shapes:
            raise refuse(
                "LoRA needs an encoder layer that is not frozen", f"all {found.layers} are",
                "Freeze fewer layers.", set_to(freeze_layers=0),
            )  # fmt: skip
        return shapes

    def n_lora(self, found: Checkpoint) -> int:
        """Numbers of LoRA's matrices."""
        if self.lora_rank is None:
            return 0
        return sum(self.lora_rank * (out + into) for out, into in self.lora_shapes(found).values())

    # ------------------------------------------------------------ what it refuses

    def _fits(self, tokens: Tokens, found: Checkpoint) -> None:
        if tokens.vocabulary != found.vocabulary:
            raise refuse(
                "a pretrained model reads the numbers of its own tokenizer",
                f"the run's tokenizer has {tokens.vocabulary:,} entries and the model {found.vocabulary:,}",
                f"Set data.text.tokenizer to pretrained and data.text.source to {self.source}.",
            )  # fmt: skip
        if tokens.length > found.longest:
            raise refuse(
                f"the model reads at most {found.longest:,} tokens", f"texts may have {tokens.length:,}",
                f"Set data.text.length to {found.longest}.",
            )  # fmt: skip

    def _head_fits(self, found: Checkpoint) -> None:
        if self.head == "new":
            return
        if found.labels is None:
            raise refuse(
                "a head that is kept must be there", "the checkpoint has none", "Set head to new.",
                set_to(head="new"),
            )  # fmt: skip
        if found.labels != self.num_labels:
            raise refuse(
                "a head that is kept has the classes it was trained on",
                f"it has {found.labels} and num_labels is {self.num_labels}", "Set head to new.",
                set_to(head="new"),
            )  # fmt: skip
        absent = [
            name for name in found.family.head(found.hidden, 1, found.config) if name not in found.others
        ]
        if absent:
            raise refuse(
                "a head that is kept must be whole", f"the checkpoint has no {absent[0]}", "Set head to new.",
                set_to(head="new"),
            )  # fmt: skip

    def _freezes(self, found: Checkpoint) -> None:
        if self.freeze_layers > found.layers:
            raise refuse(
                f"the model has {found.layers} encoder layers", f"{self.freeze_layers} are to be frozen",
                f"Set freeze_layers to {found.layers}.", set_to(freeze_layers=found.layers),
            )  # fmt: skip
        if found.family.shared and self.freeze_layers not in (0, found.layers):
            raise refuse(
                f"the {found.layers} layers of {found.kind} are one, so all are frozen or none",
                f"{self.freeze_layers} are to be", "Set freeze_layers to 0.", set_to(freeze_layers=0),
            )  # fmt: skip
        if self.scratch and (
            self.freeze_embeddings or self.freeze_layers or self.lora_rank or self.head == "kept"
        ):
            repair = "Set scratch to no."
            fact = "some are to stay as they are"
            raise refuse("random weights must be free to learn", fact, repair, set_to(scratch=False))


def as_built(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers without what says only how pretrained weights learn: those that are alike then have the same
    weights by the same names, and a fork may free what was frozen. LoRA decides what there is: it stays."""
    usual = {"lr_decay": 1.0, "classifier_dropout": None, "head": "new", "scratch": False}
    freed = {"freeze_embeddings": False, "freeze_layers": 0}

    def changed(layer: Layer) -> Layer:
        if not isinstance(layer, PretrainedText | PretrainedImage):
            return layer
        update = usual if layer.lora_rank is not None else usual | freed
        known = type(layer).model_fields  # of images the classifier has no dropout
        return layer.model_copy(update={name: value for name, value in update.items() if name in known})

    return tuple(changed(layer) for layer in layers)


def tokenizer_problems(layers: Sequence[Layer], text: TextSpec) -> list[Problem]:
    """Whether a pretrained model gets its own tokenizer; nothing to say of other models, or where its folder
    cannot be read, which the layer itself tells."""
    wanted = next((layer for layer in layers if isinstance(layer, PretrainedText)), None)
    if wanted is None:
        return []
    try:
        own = wanted.checkpoint().folder / "tokenizer.json"
        given = read(text.source).folder / "tokenizer.json" if text.tokenizer == "pretrained" else None
    except LayerError:
        return []
    if given is not None and (given.resolve() == own.resolve() or _same(given, own)):
        return []
    fact = (
        f"the texts are read with that of {text.source}"
        if given
        else f"data.text.tokenizer is {text.tokenizer}"
    )
    return [
        Problem(
            where="data.text.tokenizer", rule="a pretrained model brings its own tokenizer", fact=fact,
            repair=f"Set data.text.tokenizer to pretrained and data.text.source to {wanted.source}.",
        )
    ]  # fmt: skip


def _same(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
    except OSError:
        return False
