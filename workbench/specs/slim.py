"""Which channels and neurons of a stack may be left out, and the stack without them. Plain Python.

A layer may lose outputs where exactly one later layer reads them, and what stands between treats each channel
by itself: a chain. Notation: a chain's maker is the layer whose outputs go, its reader the next one that
mixes channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from workbench.specs import nesting
from workbench.specs.base import AnyShape, Duel, Pair
from workbench.specs.errors import Problem, SpecError
from workbench.specs.layer import Layer
from workbench.specs.model import ModelSpec

COUNTS = {
    "conv2d": "out_channels", "conv1d": "out_channels", "conv_transpose2d": "out_channels",
    "linear": "out_features",
}  # fmt: skip
INNER = {  # layers that hold a chain within themselves: the field of its width
    "transformer_encoder_layer": "dim_feedforward", "transformer_decoder_layer": "dim_feedforward",
}  # fmt: skip
AROUND = ("window_norm", "skip")  # groups of one row, whose last layer's outputs stay
# Between maker and reader: each channel for itself. Numbers per channel (batch_norm, prelu) go with it.
ALONE = frozenset({
    "batch_norm", "prelu", "relu", "relu6", "leaky_relu", "rrelu", "elu", "selu", "celu", "gelu", "silu",
    "hardswish", "mish", "tanh", "hardtanh", "softsign", "tanhshrink", "hardshrink", "softshrink", "sigmoid",
    "hardsigmoid", "log_sigmoid", "softplus", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d",
    "adaptive_max_pool2d", "global_avg_pool2d", "global_max_pool2d", "dropout", "dropout2d", "alpha_dropout",
    "flatten", "upsample",
})  # fmt: skip


class Chain(NamedTuple):
    """Places within one row of layers. block: numbers of one channel among the maker's outputs: those of a
    linear layer whose vector becomes an image (unflatten) lie channel by channel; else 1. steps: whether the
    reader sees a flattened sequence, of which every step holds all channels."""

    maker: int
    between: tuple[int, ...]
    reader: int
    block: int = 1
    steps: bool = False


def chains(layers: Sequence[Layer]) -> list[Chain]:
    """All chains of one row, first to last; those within groups are the groups' own.

    Check: no layer is the maker of two.
    """
    found = []
    for maker, layer in enumerate(layers):
        if not _makes(layer):
            continue
        between: list[int] = []
        block = 1
        for place in range(maker + 1, len(layers)):
            later: Any = layers[place]
            if _makes(later):
                kinds = {layers[k].kind for k in between}  # type: ignore[attr-defined]
                steps = layer.kind in ("conv1d", "linear") and "flatten" in kinds and "unflatten" not in kinds  # type: ignore[attr-defined]
                found.append(Chain(maker, tuple(between), place, block, steps))
                break
            is_image = later.kind == "unflatten" and layer.kind == "linear" and block == 1  # type: ignore[attr-defined]
            if later.kind not in ALONE and not is_image:
                break
            if is_image:
                block = later.height * later.width
            between.append(place)
    return found


def slimmer(model: ModelSpec, shape: AnyShape, amount: float) -> ModelSpec:
    """The model with `amount` of the outputs of each chain's maker left out, at least one staying.

    Check: it has fewer parameters, and the same output shape. Raises: SpecError where no layer can lose
    any: the reason says what forbids it.
    """
    before = model.n_params(shape)
    slim = model.model_copy(
        update={
            "layers": _row(model.layers, amount),
            "decoder": _row(model.decoder, amount) if isinstance(shape, Pair) else model.decoder,
        }
    )
    if slim == model:
        raise SpecError(_nothing(model))
    slim = ModelSpec.model_validate(slim.model_dump(mode="json"))
    if slim.out_shape(shape) != model.out_shape(shape) or slim.n_params(shape) >= before:
        raise SpecError(_nothing(model))
    return slim


def groups(layer: Any) -> Iterator[tuple[str, Sequence[Layer]]]:
    """(what its weights' names begin with, the layers) of every row within a group of layers."""
    if layer.kind == "residual":
        yield "layers.", layer.layers
        yield "shortcut.", layer.shortcut
    elif layer.kind == "parallel":
        for number, branch in enumerate(layer.branches):
            yield f"branches.{number}.", branch
    elif layer.kind == "repeat":
        for turn in range(layer.times):
            yield f"{turn}.", layer.layers
    elif layer.kind in AROUND:
        yield "layers.", layer.layers


def stacks(model: ModelSpec, shape: AnyShape) -> list[tuple[str, Sequence[Layer]]]:
    """(what their weights' names begin with, the layers) of the model's one stack or two."""
    if isinstance(shape, Pair):
        return [("encoder.", model.layers), ("decoder.", model.decoder)]
    if isinstance(shape, Duel):  # the discriminator is needed to learn alone, and stays
        return [("generator.", model.layers)]
    return [("", model.layers)]


def _makes(layer: Any) -> bool:
    return layer.kind in COUNTS and getattr(layer, "groups", 1) == 1


def _row(layers: Sequence[Any], amount: float) -> tuple[Any, ...]:
    out = [_within(layer, amount) for layer in layers]
    for chain in chains(layers):
        layer = out[chain.maker]
        name = COUNTS[layer.kind]
        fewer = chain.block * _fewer(getattr(layer, name) // chain.block, amount)
        out[chain.maker] = layer.model_copy(update={name: fewer})
    return tuple(out)


def _within(layer: Any, amount: float) -> Any:
    if layer.kind in INNER:
        name = INNER[layer.kind]
        return layer.model_copy(update={name: _fewer(getattr(layer, name), amount)})
    if layer.kind == "residual":
        # Without a projection of its own, a residual's shapes come from its body, whose last layer stays.
        rows = {"layers": _row(layer.layers, amount), "shortcut": _row(layer.shortcut, amount)}
        return layer.model_copy(update=rows)
    if layer.kind == "parallel":
        return layer.model_copy(update={"branches": tuple(_row(branch, amount) for branch in layer.branches)})
    if layer.kind == "repeat" or layer.kind in AROUND:
        return layer.model_copy(update={"layers": _row(layer.layers, amount)})
    return layer


def _fewer(n: int, amount: float) -> int:
    return max(1, round(n * (1.0 - amount)))


def _nothing(model: ModelSpec) -> Problem:
    kinds = [getattr(layer, "kind", "") for layer in nesting.every((*model.layers, *model.decoder))]
    makers = [kind for kind in kinds if kind in COUNTS]
    if not makers:
        fact = f"none of its layers ({', '.join(dict.fromkeys(kinds))}) has channels of its own to lose"
    elif len(makers) == 1 and len(kinds) == len([k for k in kinds if k in ALONE or k in COUNTS]):
        fact = "its one layer with channels gives the scores, whose number the classes set"
    else:
        fact = (
            "between its convolutions or linear layers stand others that mix or need all channels (a "
            "residual sum, a group norm, a grouped convolution, a recurrent layer)"
        )
    return Problem(
        where="training.prune.what", rule="channels go where one later layer alone reads them", fact=fact,
        repair="Prune single weights instead (what: weights).",
    )  # fmt: skip
