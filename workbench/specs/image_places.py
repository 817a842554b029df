"""Where the weights of an image classifier are applied, and what they leave behind: rough, from names alone.

A weight of a Transformer is applied at every patch; one of a network in stages at every pixel that the
halvings before it left. Tests hold both against what torch does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from workbench.specs.base import Shape
from workbench.specs.image_folder import ImageCheckpoint

# How much each of its blocks makes a side smaller, of kinds that have no stages.
SQUEEZED = re.compile(r"squeeze_excit|\.layer\.2\.attention\.\d\.")  # one pixel for all
REDUCED = re.compile(r"\.(?:sr|sequence_reduction|spatial_reduction)\.")
KEYS = re.compile(r"attention\.(?:self\.)?(?:key|value)\.")
VALUES = re.compile(r"\.(?:value|v_proj|projection_value)\.")
PARTS = re.compile(r"\.(?:qkv|qkv_proj|queries_keys_values|keys_values)\.")  # several in one, without a bend
EXPANDED = re.compile(r"\bexpand_1x1\b|\bexpansion\.")  # before the halving of its layer
STRAIGHT = re.compile(r"project|reduce_1x1|shortcut|downsample")  # no bend behind them
STEM = re.compile(r"embedding_layer_(\d)\.|embedder\.stem[34]()\.")  # each halves the sides; those behind
V1 = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # each of two layers
V2 = (2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)


def applied(found: ImageCheckpoint, shape: Shape, labels: int) -> dict[str, int]:
    """Name of a weight -> to how many places of a sample it is applied: pixels, patches, or 1. Weights that
    are looked up or added are left out."""
    at = places(found, shape)
    shrunk = _shrunk(found)
    times: dict[str, int] = {}
    for name, size in found.weights(labels).items():
        depth = found.depth(name)
        if is_table(name, size):
            continue
        if SQUEEZED.search(name) or found.is_outer(name):
            times[name] = 1
        elif depth > found.layers and len(size) == 4 and found.kind != "pp_lcnet":
            times[name] = at[found.layers]  # the last convolution, over what the layers gave
        elif depth == 0 and (step := STEM.search(name)):
            by = 2 ** int(step[1]) if step[1] else found.first
            times[name] = math.ceil(math.prod(shape[1:]) / by**2)
        elif EXPANDED.search(name):
            times[name] = at[max(0, depth - 1)]
        elif len(size) == 4 and REDUCED.search(name):
            times[name] = math.ceil(at[depth] / math.prod(size[2:]))
        elif depth in shrunk and KEYS.search(name):
            times[name] = math.ceil(at[depth] / shrunk[depth])
        else:
            times[name] = at[depth]
    return times


def kept(found: ImageCheckpoint, shape: Shape, labels: int, below: int) -> int:
    """Numbers that a sample leaves behind for the derivative, at depth `below` and above: what weights and
    norms gave, what the bends between them need, and attention's shares and its result."""
    at, times = places(found, shape), applied(found, shape, labels)
    weights = found.weights(labels)
    is_relu = str(found.part.get("hidden_act", found.part.get("activation_function", "relu"))) == "relu"
    total = 0
    for name, size in weights.items():
        depth = found.depth(name)
        if depth < below or not name.endswith("weight"):
            continue
        if name not in times or ".grn." in name:  # a norm's; that over a whole layer's channels keeps two
            place = at[max(0, depth - 1)] if EXPANDED.search(name) else at[depth]
            total += size[0] * place if len(size) == 1 else 2 * size[-1] * at[depth] * (".grn." in name)
            continue
        if SQUEEZED.search(name):
            total += size[0] * at[depth] if size[0] > size[1] else 0  # its share of every pixel
            continue
        out = size[0] * times[name]
        total += out
        if found.has_batches:
            total += 0 if is_relu or STRAIGHT.search(name) else out
        elif size[0] > math.prod(size[1:]) and depth and not PARTS.search(name):
            total += out
        if VALUES.search(name):
            total += 2 * out  # attention's result, and a copy in order
    return total


def _shrunk(found: ImageCheckpoint) -> dict[int, int]:
    """By how much the keys and values of a layer are fewer than its places, where they are."""
    return {
        found.depth(name): math.prod(size[2:])
        for name, size in found.base.items()
        if len(size) == 4 and REDUCED.search(name)
    }


def places(found: ImageCheckpoint, shape: Shape) -> list[int]:
    """How often a weight of each depth is applied, from the stem (0) to what is behind the layers (1)."""
    height, width = shape[1:]
    if found.family.sizes == "patches":
        steps = (height // found.patch) * (width // found.patch) + found.before
        return [steps] * (found.layers + 1) + [1]
    if found.kind == "perceiver":  # its layers work on a few latents, all of them several times
        latents = next((size[0] for name, size in found.base.items() if name.endswith("latents")), 1)
        times = found.config.get("num_blocks", 8)
        return [height * width] + [latents * (times if type(times) is int else 8)] * found.layers + [1]
    return [math.ceil(height / by) * math.ceil(width / by) for by in _shrinks(found)] + [1]


def _shrinks(found: ImageCheckpoint) -> list[int]:
    """By how much a side is smaller at each depth but the last."""
    now = found.first
    at = [now if found.family.stem == found.family.first else found.family.stem]
    for steps in _blocks(found):
        now *= steps
        at.append(now)
    return at


def _blocks(found: ImageCheckpoint) -> list[int]:
    """By how much each layer makes a side smaller."""
    if found.kind == "mobilenet_v1":
        return _cut([by for step in V1 for by in (step, 1)], found.layers)
    if found.kind == "mobilenet_v2":
        return _cut(list(V2), found.layers)
    if found.kind == "efficientnet":
        return _cut(_efficient(found.part), found.layers)
    if found.kind == "textnet" and (listed := _listed(found.part.get("conv_layer_strides"), found.stages)):
        return _cut(listed, found.layers)
    if found.kind == "swiftformer":  # stages in turn with what lies between them
        return [by for stage, n in enumerate(found.stages) for by in (1 + stage % 2, *[1] * (n - 1))]
    each = found.family.stages == "all"
    return [by for stage, n in enumerate(found.stages) for by in (2 if stage or each else 1, *[1] * (n - 1))]


def _listed(told: Any, stages: tuple[int, ...]) -> list[int]:
    """Strides of layers, stage by stage, in one row; nothing where they are told otherwise."""
    if not isinstance(told, list) or not all(isinstance(stage, list) for stage in told):
        return []
    steps = [step for stage, n in zip(told, stages, strict=False) for step in stage[:n]]
    return steps if all(type(step) is int and step > 0 for step in steps) else []


def _efficient(part: Mapping[str, Any]) -> list[int]:
    strides, repeats = part.get("strides"), part.get("num_block_repeats")
    deep = part.get("depth_coefficient")
    if not isinstance(strides, list) or not isinstance(repeats, list):
        strides, repeats = [1, 2, 2, 2, 1, 2, 1], [1, 2, 2, 3, 3, 4, 1]
    found: list[int] = []
    for by, times in zip(strides, repeats, strict=False):
        n = math.ceil((deep if isinstance(deep, int | float) else 1.0) * times)
        found += [by] + [1] * (n - 1)
    return found


def _cut(blocks: list[int], layers: int) -> list[int]:
    return (blocks + [1] * layers)[:layers]


def is_table(name: str, size: tuple[int, ...]) -> bool:
    """Whether a weight is looked up or added, and multiplies nothing."""
    return (
        len(size) < 2
        or not name.endswith("weight")
        or "position_embedding" in name
        or "position_bias" in name
    )
