"""A pretrained image classifier of Hugging Face as one layer: its cost and whether it fits, without torch.

It is frozen, slowed down and given LoRA as text encoders are (specs/pretrained.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from workbench.specs.base import AnyShape, Shape, knob
from workbench.specs.checkpoint_folder import Shapes, numel
from workbench.specs.data import DataSpec
from workbench.specs.errors import LayerError, Problem
from workbench.specs.image_folder import TRANSFORMERS, ImageCheckpoint, read_image
from workbench.specs.layer import EVERYTHING, Layer, Sight, need_image, refuse, set_to

SMALLEST = 32  # pixels of a side: what is halved five times


class PretrainedImage(Layer):
    """A pretrained image classifier (ViT, ResNet, ConvNeXt and their kind): an image to a score per class."""

    group: ClassVar[str] = "convolution"
    kind: Literal["pretrained_image"] = "pretrained_image"
    source: str = knob(
        "", "The model: the whole path of its folder, or its name on huggingface.co", max_length=500
    )
    num_labels: int = knob(2, "Classes", ge=1, le=100_000)
    head: Literal["new", "kept"] = knob(
        "new", "new: a fresh classifier; kept: the one that the checkpoint brings, for the same classes"
    )
    freeze_embeddings: bool = knob(False, "What comes before the first layer stays as it is")
    freeze_layers: int = knob(0, "So many of the layers next to the input stay as they are", ge=0, le=1000)
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
        "", "Linear layers that get them, with commas between; empty: attention's queries and values, or the "
        "wide layers of a ConvNeXt", max_length=500, advanced=True,
    )  # fmt: skip
    scratch: bool = knob(
        False, "Begin with random weights: shows what the pretrained ones are worth", advanced=True
    )

    def checkpoint(self) -> ImageCheckpoint:
        """What its folder holds. Raises: LayerError."""
        return read_image(self.source)

    def out_shape(self, shape: Shape) -> Shape:
        image, found = need_image(self.kind, shape), self.checkpoint()
        self._fits(image, found)
        self._head_fits(found)
        self._freezes(found)
        if self.lora_rank is not None:
            self.lora_shapes(found)
        return (self.num_labels,)

    def sight(self, before: Sight, shape: Shape) -> Sight:
        return EVERYTHING

    def n_params(self, shape: Shape) -> int:
        """All of its numbers, also those that stay as they are; see `n_frozen`."""
        found = self.checkpoint()
        return numel(self.weights(found)) + self.n_lora(found)

    def n_frozen(self, shape: Shape) -> int:
        """Numbers that stay as they are."""
        found = self.checkpoint()
        weights = self.weights(found)
        return sum(math.prod(size) for name, size in weights.items() if self.is_frozen(name, found))

    def mult_adds(self, shape: Shape) -> int:
        """Every weight at each place that it is applied to, and attention's products."""
        found, total = self.checkpoint(), 0
        places = self.places(found, shape)
        for name, size in self.weights(found).items():
            if len(size) > 1:
                total += math.prod(size) * places[self.depth(name, found)]
        if found.kind in TRANSFORMERS:
            width = found.features // found.family.wide
            total += 2 * places[1] ** 2 * width * found.layers
        return total + self.n_lora(found) * places[min(1, len(places) - 1)]

    def activations(self, shape: Shape) -> int:
        """Numbers that a sample leaves behind in the layers that learn, and in those above them: of every
        weight's output, the norm behind it and the bend."""
        found = self.checkpoint()
        places = self.places(found, shape)
        below = self.freeze_layers + 1 if self.freeze_embeddings and self.lora_rank is None else 0
        kept = 0
        for name, size in self.weights(found).items():
            depth = self.depth(name, found)
            if len(size) > 1 and depth >= below:
                kept += KEPT * size[0] * places[depth]
        return kept

    def places(self, found: ImageCheckpoint, shape: Shape) -> list[int]:
        """How often a weight of each depth is applied: to each patch, or to each pixel after the halvings."""
        height, width = shape[1:]
        if found.kind in TRANSFORMERS:
            steps = (height // found.patch) * (width // found.patch) + 1
            return [steps, *[steps] * found.layers, 1]
        size = found.config.get("patch_size", 4)
        stride = size if type(size) is int and size > 0 else 4
        first = (stride // 2 or 1) if found.kind in ("resnet", "regnet") else stride
        at = [math.ceil(height / first) * math.ceil(width / first)]
        for stage, times in enumerate(found.depths):
            step = stride * 2 ** (stage + 1 if found.kind == "regnet" else stage)
            step = step // 2 if found.kind == "regnet" else step
            at += [math.ceil(height / step) * math.ceil(width / step)] * times
        return [*at, 1]

    # ------------------------------------------------------------ its weights

    def weights(self, found: ImageCheckpoint) -> Shapes:
        """Name -> shape of every weight before LoRA, named as the files name them below the network."""
        family = found.family
        whole = {f"{family.base}.{name}": size for name, size in found.base.items()}
        head = {
            f"{family.head}.weight": (self.num_labels, found.features),
            f"{family.head}.bias": (self.num_labels,),
        }
        return whole | head

    def depth(self, name: str, found: ImageCheckpoint) -> int:
        """0 for what is before the layers, i + 1 for layer i, one more than all layers for what is on top."""
        return found.depth(name)

    def is_frozen(self, name: str, found: ImageCheckpoint) -> bool:
        """Whether a weight (not one of LoRA's) stays as it is."""
        depth = found.depth(name)
        if self.lora_rank is not None:
            return name.startswith(f"{found.family.base}.")
        return self.freeze_embeddings if depth == 0 else depth <= min(self.freeze_layers, found.layers)

    def rate(self, name: str, found: ImageCheckpoint) -> float:
        """The share of the learning rate at which a weight learns."""
        return float(self.lr_decay ** (found.layers + 1 - found.depth(name)))

    def targets(self, found: ImageCheckpoint) -> tuple[str, ...]:
        """Last names of the linear layers that get LoRA's matrices."""
        wanted = tuple(part for part in re.split(r"[,\s]+", self.lora_targets) if part)
        return wanted or found.family.targets

    def lora_shapes(self, found: ImageCheckpoint) -> Shapes:
        """Name -> (out, in) of the linear layers that get a pair of matrices. Raises: LayerError."""
        wanted = self.targets(found)
        shapes: dict[str, tuple[int, ...]] = {}
        offered: set[str] = set()
        for name, size in found.base.items():
            module, _, last = name.rpartition(".")
            index = found.layer_of(name)
            if index is None or last != "weight" or len(size) != 2:
                continue
            own = module.rpartition(".")[2]
            offered.add(own)
            if own in wanted and index >= self.freeze_layers:
                shapes[f"{found.family.base}.{module}"] = size
        if not offered:
            raise refuse(
                "LoRA goes to linear layers", f"the layers of a {found.kind} are convolutions",
                "Freeze layers instead.", set_to(lora_rank=None),
            )  # fmt: skip
        if self.lora_targets and not offered & set(wanted):
            raise refuse(
                "LoRA goes to linear layers of the model", f"it has none that is called `{wanted[0][:60]}`",
                f"Choose among {', '.join(sorted(offered))}, or leave lora_targets empty.",
                set_to(lora_targets=""),
            )  # fmt: skip
        if not shapes:
            raise refuse(
                "LoRA needs a layer that is not frozen", f"all {found.layers} are", "Freeze fewer layers.",
                set_to(freeze_layers=0),
            )  # fmt: skip
        return shapes

    def n_lora(self, found: ImageCheckpoint) -> int:
        """Numbers of LoRA's matrices."""
        if self.lora_rank is None:
            return 0
        return sum(self.lora_rank * (out + into) for out, into in self.lora_shapes(found).values())

    # ------------------------------------------------------------ what it refuses

    def _fits(self, image: tuple[int, int, int], found: ImageCheckpoint) -> None:
        channels, height, width = image
        if channels != found.channels:
            raise refuse(
                f"the model sees images of {found.channels} channel{'s' if found.channels > 1 else ''}",
                f"these have {channels}", f"Set data.channels to {found.channels}.",
            )  # fmt: skip
        least = found.patch if found.family.fixed else SMALLEST
        if min(height, width) < least:
            raise refuse(
                f"the model sees images of {least} pixels a side at least", f"these are {height}×{width}",
                f"Set data.size to {found.side}.",
            )  # fmt: skip
        if found.family.fixed and (height % found.patch or width % found.patch):
            near = max(1, round(min(height, width) / found.patch)) * found.patch
            raise refuse(
                f"the model cuts images into patches of {found.patch}", f"these are {height}×{width}",
                f"Set data.size to {near}, or to {found.side} as it was taught.",
            )  # fmt: skip

    def _head_fits(self, found: ImageCheckpoint) -> None:
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

    def _freezes(self, found: ImageCheckpoint) -> None:
        if self.freeze_layers > found.layers:
            raise refuse(
                f"the model has {found.layers} layers", f"{self.freeze_layers} are to be frozen",
                f"Set freeze_layers to {found.layers}.", set_to(freeze_layers=found.layers),
            )  # fmt: skip
        if self.scratch and (
            self.freeze_embeddings or self.freeze_layers or self.lora_rank or self.head == "kept"
        ):
            fact, repair = "some are to stay as they are", "Set scratch to no."
            raise refuse("random weights must be free to learn", fact, repair, set_to(scratch=False))


KEPT = 3  # tensors of the size of a weight's output: it, its norm's input, its bend's


def picture_problems(layers: Sequence[Layer], data: DataSpec, shape: AnyShape) -> list[Problem]:
    """Whether a pretrained model sees images as it was taught to, and what becomes of its classifier; nothing
    to say of other models, or where its folder cannot be read, which the layer itself tells."""
    layer = next((one for one in layers if isinstance(one, PretrainedImage)), None)
    if layer is None:
        return []
    try:
        found = layer.checkpoint()
    except LayerError:
        return []
    told = []
    if data.normalize != "unit":
        told.append(
            Problem(
                where="data.normalize", rule="a pretrained model scales colours by itself, as it was taught",
                fact=f"data.normalize is {data.normalize}", repair="Set data.normalize to unit.",
            )
        )  # fmt: skip
    if layer.head == "new" and found.labels is not None:
        fact = f"the checkpoint tells {found.labels:,} classes and the run {layer.num_labels:,}"
        same = found.labels == layer.num_labels
        told.append(
            Problem(
                where="model.layers", rule="a fresh classifier begins at nothing", severity="warning",
                fact=fact + ": its classifier is put aside",
                repair="Set head to kept to go on with it." if same else "Nothing: it will be learned.",
            )
        )  # fmt: skip
    if len(shape) == 3 and found.family.fixed and found.side not in shape[1:]:
        told.append(
            Problem(
                where="data.size", rule="a Transformer sees best at the size that it was taught at",
                fact=f"images have {shape[1]}×{shape[2]} pixels, and it was taught at {found.side}: its "
                "positions are stretched", severity="warning",
                repair=f"Set data.size to {found.side}, which takes longer.",
            )
        )  # fmt: skip
    return told
