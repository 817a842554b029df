"""How much memory data takes on the device: a batch of it, and what stays for the whole run."""

from __future__ import annotations

import math
from collections.abc import Mapping

from workbench.specs.base import AnyShape, Pair, Tokens, Window
from workbench.specs.run import RunSpec
from workbench.specs.sizes import Extent, SeriesSizes, TextSizes
from workbench.specs.tape import FLOAT, INDEX

FLOAT_SHARE = 0.25  # of the free memory: so much may normalised images take (engine.batches keeps to it)
NARROWEST = 2  # tokens of the narrowest batch (engine.texts)


def extent_of(
    spec: RunSpec, shape: AnyShape, sizes: Mapping[str, int], split: str, batch: int
) -> Extent | None:
    """The widest batch of `batch` texts of a split, as the engine hands it out; None for images, and where
    nothing is known of the texts."""
    if not isinstance(shape, Pair | Tokens) or not isinstance(sizes, TextSizes) or split not in sizes.lengths:
        return None
    found = sizes.lengths[split].widest(batch)
    if isinstance(shape, Pair):
        width = 1 + max(sizes.lengths[split].longest, sizes.targets[split].longest)
        return Extent(width, min(1.0, (found.width * found.fill + 1) / width), found.even)
    if spec.task.kind == "language_model":
        return Extent(shape.length)
    width = min(shape.length, max(found.width, NARROWEST, spec.model.least_length(shape)))
    return Extent(width, found.fill * found.width / width, found.even)


def cut(shape: AnyShape, extent: Extent | None) -> AnyShape:
    """The shape of a batch as wide as `extent`; both sides of a pair are equally wide."""
    if isinstance(shape, Tokens):
        return shape if extent is None else shape._replace(length=extent.width)
    if isinstance(shape, Pair):
        width = max(part.length for part in shape) if extent is None else extent.width
        return Pair(*(part._replace(length=width) for part in shape))
    return shape


def width_of(shape: AnyShape) -> int:
    """Tokens of a text; of a pair, of either side; 1 for images."""
    if isinstance(shape, Pair):
        return max(part.length for part in shape)
    return shape.length if isinstance(shape, Tokens) else 1


def input_bytes(shape: AnyShape, batch: int) -> int:
    """A batch on the device; of texts with labels for every token, which those with one label lack."""
    if isinstance(shape, Pair):
        return 3 * INDEX * batch * width_of(shape)
    if isinstance(shape, Tokens):
        return 2 * INDEX * batch * shape.length
    return batch * math.prod(shape) * FLOAT


def data_bytes(spec: RunSpec, shape: AnyShape, sizes: Mapping[str, int], device: str, free: int) -> int:
    """Samples and labels that stay on the device for the whole run; on a CPU also the arrays as loaded."""
    if isinstance(shape, Pair | Tokens):
        return token_bytes(spec, shape, sizes, free)
    if isinstance(shape, Window):
        return series_bytes(shape, sizes, device)
    pixels = math.prod(shape)
    if len(shape) == 1:  # rows of a table: float32 as they are
        return sum((FLOAT * pixels + INDEX) * sizes.get(name, 0) for name in ("train", "validation")) + (
            2 * INDEX * sizes["train"]
        )
    held = 0
    for name in ("train", "validation"):
        n = sizes[name]
        is_changed = bool(spec.data.augment) and name == "train"
        room = FLOAT_SHARE * max(0, free - held)
        if FLOAT * n * pixels <= room and not is_changed:
            held += FLOAT * n * pixels
        elif n * pixels <= room:
            held += n * pixels
        held += INDEX * n
        if spec.task.kind == "segmentation":  # a mask of each
            held += n * pixels // shape[0]
    held += 2 * INDEX * sizes["train"]  # an epoch's order, and its labels in that order
    if device == "cpu":
        n = sum(sizes.get(name, 0) for name in ("train", "validation", "test"))
        held += n * pixels + 2 * INDEX * n
        if spec.task.kind == "segmentation":
            held += n * pixels // shape[0]
    return held


def series_bytes(shape: Window, sizes: Mapping[str, int], device: str) -> int:
    """The same of a series (engine.series): its windows share its numbers, on the device once a split."""
    windows = sum(sizes[name] for name in ("train", "validation"))
    numbers = sizes.numbers if isinstance(sizes, SeriesSizes) else windows + shape.length * shape.variates
    held = 2 * FLOAT * numbers + INDEX * windows
    if device == "cpu":
        held += INDEX * sum(sizes.get(name, 0) for name in ("train", "validation", "test"))
    return held + 2 * INDEX * sizes["train"]


def token_bytes(spec: RunSpec, shape: AnyShape, sizes: Mapping[str, int], free: int) -> int:
    """The same of texts (engine.texts): ids in int64 where they are few enough, else none."""
    held = 0
    for name in ("train", "validation"):
        n = sizes[name]
        sides = [_tokens(shape, sizes, name)]
        if isinstance(shape, Pair):
            sides.append(_tokens(shape, sizes, name, targets=True))
        for tokens in sides:
            if INDEX * tokens <= FLOAT_SHARE * max(0, free - held):
                held += INDEX * tokens + (0 if spec.task.kind == "language_model" else 2 * INDEX * n)
        held += INDEX * n if spec.task.kind == "classification" else 0
    return held + 2 * INDEX * sizes["train"]


def _tokens(shape: AnyShape, sizes: Mapping[str, int], name: str, targets: bool = False) -> int:
    """Tokens of a split; where nothing is known of its texts, as many as they may have."""
    known = (sizes.targets if targets else sizes.lengths) if isinstance(sizes, TextSizes) else {}
    return known[name].tokens if name in known else sizes[name] * width_of(shape)
