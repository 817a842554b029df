"""A pretrained image classifier of Hugging Face as one layer: its cost and whether it fits, without torch.

It is frozen, slowed down and given LoRA as text encoders are (specs/pretrained.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from workbench.specs.base import AnyShape, Shape, knob
from workbench.specs.checkpoint_folder import numel
from workbench.specs.data import DataSpec
from workbench.specs.errors import LayerError, Problem
from workbench.specs.image_folder import ImageCheckpoint, read_image
from workbench.specs.image_places import applied, is_table, kept, places
from workbench.specs.layer import EVERYTHING, Layer, Sight, need_image, refuse, set_to


class PretrainedImage(Layer):
    """Any image classifier of Hugging Face (ViT, ResNet, ConvNeXt): an image to a score per class."""

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
        "", "Layers that get them, by their last words, with commas between; empty: attention's queries and "
        "values, where there are none all linear layers, or else convolutions", max_length=500, advanced=True,
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
        return numel(found.weights(self.num_labels)) + self.n_lora(found)

    def n_frozen(self, shape: Shape) -> int:
        """Numbers that stay as they are."""
        found = self.checkpoint()
        weights = found.weights(self.num_labels)
        return sum(
            math.prod(size)
            for name, size in weights.items()
            if self.rests(found.depth(name), found.is_outer(name), found)
        )

    def mult_adds(self, shape: Shape) -> int:
        """Every weight at each place that it is applied to, and attention's products."""
        found = self.checkpoint()
        times, sizes = applied(found, shape, self.num_labels), found.weights(self.num_labels)
        total = sum(math.prod(sizes[name]) * n for name, n in times.items())
        if found.family.attends:
            total += 2 * places(found, shape)[1] ** 2 * (found.features // found.family.wide) * found.layers
        for name, (out, into) in (self.lora_shapes(found) if self.lora_rank is not None else {}).items():
            total += (self.lora_rank or 0) * (out + into) * times[f"{name}.weight"]
        return total

    def activations(self, shape: Shape) -> int:
        """Numbers that a sample leaves behind in the layers that learn, and in those above them."""
        found = self.checkpoint()
        rests = self.freeze_embeddings or self.lora_rank is not None  # then nothing is kept below what learns
        below = min(self.freeze_layers, found.layers) + 1 if rests else 0
        return kept(found, shape, self.num_labels, below)

    # ------------------------------------------------------------ its weights

    def rests(self, depth: int, is_outer: bool, found: ImageCheckpoint) -> bool:
        """Whether a weight (not one of LoRA's) of that depth stays as it is. is_outer: it is none of the
        base's."""
        if self.lora_rank is not None:
            return not is_outer
        return self.freeze_embeddings if depth == 0 else depth <= min(self.freeze_layers, found.layers)

    def rate(self, depth: int, found: ImageCheckpoint) -> float:
        """The share of the learning rate at which a weight of that depth learns."""
        return float(self.lr_decay ** (found.layers + 1 - depth))

    def wanted(self) -> tuple[str, ...]:
        """Names of the modules that are to get LoRA's matrices; none: the usual ones."""
        return tuple(part for part in re.split(r"[,\s]+", self.lora_targets) if part)

    def lora_shapes(self, found: ImageCheckpoint) -> Mapping[str, tuple[int, int]]:
        """Name of a module -> numbers that come out of it and that go into one of its outputs, for those that
        get a pair of matrices. Raises: LayerError."""
        offered, wanted = lora_offered(found), self.wanted()
        names = [name for name in offered if any(f".{name}".endswith(f".{word}") for word in wanted)]
        shapes = {name: offered[name] for name in (names if wanted else usual_targets(found, offered))}
        if not shapes and wanted:
            own = sorted({name.rpartition(".")[2] for name in offered})
            raise refuse(
                "LoRA goes to linear layers and convolutions of the model",
                f"it has none that is called `{wanted[0][:60]}`",
                f"Choose among {', '.join(own)}, or leave lora_targets empty.", set_to(lora_targets=""),
            )  # fmt: skip
        shapes = {n: s for n, s in shapes.items() if found.depth(f"{n}.weight") > self.freeze_layers}
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
        sizes, patch = found.family.sizes, found.patch
        if sizes == "exact" and (height, width) != (found.side, found.side):
            raise refuse(
                f"a {found.kind} sees images of the size that it was taught at, {found.side}×{found.side}",
                f"these are {height}×{width}", f"Set data.size to {found.side}.",
            )  # fmt: skip
        least = max(patch, found.family.least)
        if min(height, width) < least:
            raise refuse(
                f"the model sees images of {least} pixels a side at least", f"these are {height}×{width}",
                f"Set data.size to {found.side}.",
            )  # fmt: skip
        unit = found.unit
        if height % unit or width % unit:
            near = max(1, round(min(height, width) / unit)) * unit
            raise refuse(
                f"the model cuts images into patches of {unit}", f"these are {height}×{width}",
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


QUERIES = (
    "query", "value", "q_proj", "v_proj", "projection_query", "projection_value", "qkv", "qkv_proj",
    "queries_keys_values", "queries", "keys_values", "to_query",
)  # fmt: skip


def lora_offered(found: ImageCheckpoint) -> Mapping[str, tuple[int, int]]:
    """Name of a module -> numbers that come out of it and that go into one of its outputs, for those that may
    have LoRA's matrices: linear layers and convolutions of one pixel; where there are none, those of several.
    """
    sizes = {
        name.removesuffix(".weight"): size
        for name, size in found.base.items()
        if 0 < found.depth(name) <= found.layers and not is_table(name, size)
    }
    mixing = {
        name: size for name, size in sizes.items() if len(size) == 2 or (len(size) == 4 and size[1] > 1)
    }
    plain = {name: size for name, size in mixing.items() if math.prod(size[2:]) == 1}
    return {name: (size[0], math.prod(size[1:])) for name, size in (plain or mixing).items()}


def usual_targets(found: ImageCheckpoint, offered: Mapping[str, tuple[int, int]]) -> list[str]:
    """Attention's queries and values; where there are none linear layers, or else convolutions."""
    asked = [name for name in offered if set(name.split(".")[-2:]) & set(QUERIES)]
    linear = [name for name in offered if len(found.base[f"{name}.weight"]) == 2]
    return asked or linear or list(offered)


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
    if layer.head == "kept" and found.processor.shrunk:
        told.append(
            Problem(
                where="data.size", rule="a classifier sees best what is prepared as it was taught",
                fact=f"it was taught on the middle {found.side} of {found.processor.shrunk} pixels "
                f"({found.processor.filter}), and here whole images are brought to the size (bilinear)",
                severity="warning",
                repair="Import images that are cut so already where a point of accuracy counts.",
            )
        )  # fmt: skip
    if len(shape) == 3 and found.family.sizes == "patches" and found.side not in shape[1:]:
        told.append(
            Problem(
                where="data.size", rule="a Transformer sees best at the size that it was taught at",
                fact=f"images have {shape[1]}×{shape[2]} pixels, and it was taught at {found.side}: its "
                "positions are stretched", severity="warning",
                repair=f"Set data.size to {found.side}, which takes longer.",
            )
        )  # fmt: skip
    return told
