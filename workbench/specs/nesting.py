"""Stacks with groups seen as a whole: every layer, its name once built, how deep and how many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from workbench.specs.base import Shape
from workbench.specs.layer import Layer
from workbench.specs.layers import Repeat
from workbench.specs.rows import Group


def every(layers: Sequence[Layer]) -> Iterator[Layer]:
    """All layers of a stack, groups and what is in them, in reading order; repeats once."""
    for layer in layers:
        yield layer
        if isinstance(layer, Group):
            for _, inner in layer.slots():
                yield from every(inner)


def named(layers: Sequence[Layer], prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """Every layer that torch builds, with its name in the network: "3", "3.layers.1", "4.0.1" in a repeat.

    What a residual adds by itself (a projection, an activation) is not a layer of the stack.
    """
    for index, layer in enumerate(layers):
        name = f"{prefix}{index}"
        yield name, layer
        if isinstance(layer, Repeat):
            for turn in range(layer.times):
                yield from named(layer.layers, f"{name}.{turn}.")
        elif isinstance(layer, Group):
            for slot, inner in layer.slots():
                yield from named(inner, ".".join((name, *map(str, slot), "")))


def depth(layers: Sequence[Layer]) -> int:
    """Groups within groups: 0 for a plain stack."""
    inner = [depth(one) + 1 for layer in layers if isinstance(layer, Group) for _, one in layer.slots()]
    return max(inner, default=0)


def built(layers: Sequence[Layer]) -> int:
    """How many layers torch builds: repeats counted as often as they run."""
    count = 0
    for layer in layers:
        inner = sum(built(one) for _, one in layer.slots()) if isinstance(layer, Group) else 0
        count += 1 + inner * (layer.times if isinstance(layer, Repeat) else 1)
    return count


SEQUENCES = ("text", "recurrent", "attention")  # headings of the menu whose layers need the masks of texts


def is_of_sequences(layers: Sequence[Layer], shape: Shape) -> bool:
    """Whether torch builds the list as a `Stack`, which hands masks on.

    It does where a layer of sequences is in it, and where a sequence comes out.
    """
    if any(layer.group in SEQUENCES for layer in every(layers)):
        return True
    for layer in layers:
        shape = layer.out_shape(shape)
    return len(shape) == 2
