"""What every layer can say of itself, and the words in which one refuses an input."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

from workbench.specs.base import Columns, Duel, Pair, Shape, Spec, Tokens, Window
from workbench.specs.errors import Edit, Fix, LayerError, Problem


class Sight(NamedTuple):
    """How far back a value sees: pixels of the input's side, and pixels between two neighbours."""

    size: float = 1.0
    jump: float = 1.0

    def through(self, window: float, stride: float) -> Sight:
        """After a layer whose values each read `window` neighbours, `stride` apart."""
        return Sight(self.size + (window - 1) * self.jump, self.jump * stride)


EVERYTHING = Sight(math.inf, math.inf)
LARGEST_PATCH = 256  # pixels of a patch's side
# Layers that, given an image, would have it in patches; recurrent ones go through its rows.
OF_PATCHES = ("class_token", "positions", "multihead_attention", "transformer_encoder_layer")


class Layer(Spec):
    """A row of the layer editor."""

    group: ClassVar[str] = "other"  # the heading it stands under in the editor's menu
    takes_tokens: ClassVar[bool] = False  # whether tokens may come in, which are no numbers to reckon with
    takes_columns: ClassVar[bool] = False  # whether the columns of a table may come in, codes among them
    needs_memory: ClassVar[bool] = False  # whether it looks at what an encoder read

    def out_shape(self, shape: Shape) -> Shape:
        """Shape after this layer. Raises LayerError where the layer cannot take `shape`."""
        return shape

    def n_params(self, shape: Shape) -> int:
        """Trainable numbers, for an input of `shape`."""
        return 0

    def mult_adds(self, shape: Shape) -> int:
        """Multiply-adds for one sample of `shape`, counted as torchinfo counts them."""
        return 0

    def activations(self, shape: Shape) -> int:
        """Numbers that one sample leaves behind for the backward pass: those of every output."""
        return math.prod(self.out_shape(shape))

    def sight(self, before: Sight, shape: Shape) -> Sight:
        """The receptive field after this layer; one pixel reads one pixel unless said otherwise."""
        return before


def refuse(rule: str, fact: str, repair: str, fix: Fix | None = None) -> LayerError:
    """A layer's refusal. The stack that holds the layer adds where it stands, in `fix` too."""
    return LayerError(Problem(where="layer", rule=rule, fact=fact, repair=repair, fix=fix))


def set_to(**fields: Any) -> Fix:
    """The repair that changes one field of the layer itself (others may have to follow it)."""
    name, value = next(iter(fields.items()))
    return Fix(label=f"Set {name} to {value}", edits=(Edit(action="set", path=(), fields=fields),))


def removed(kind: str) -> Fix:
    """The repair that takes the layer itself away."""
    return Fix(label=f"Remove {kind}", edits=(Edit(action="remove", path=()),))


def exchanged(layer: dict[str, Any]) -> Fix:
    """The repair that puts another layer in its place."""
    edits = (Edit(action="remove", path=()), Edit(action="insert", path=(), layer=layer))
    return Fix(label=f"Use {layer['kind']} instead", edits=edits)


def preceded(label: str, *layers: dict[str, Any]) -> Fix:
    """The repair that puts layers before it."""
    return Fix(label=label, edits=tuple(Edit(action="insert", path=(), layer=one) for one in layers[::-1]))


def need_image(kind: str, shape: Shape) -> tuple[int, int, int]:
    """(C, H, W), or a refusal."""
    if len(shape) != 3:
        raise refuse(
            f"{kind} needs an image (C, H, W)",
            f"it gets {show(shape)}",
            "Move it before flatten, or remove it.",
        )
    return shape[0], shape[1], shape[2]


def need_tokens(kind: str, shape: Shape) -> Tokens:
    """The tokens, or a refusal."""
    if not isinstance(shape, Tokens):
        raise refuse(
            f"{kind} needs the tokens of a text",
            f"it gets {show(shape)}",
            "Put it first in a network for texts, or remove it.",
            removed(kind),
        )
    return shape


def need_sequence(kind: str, shape: Shape) -> tuple[int, int]:
    """(L, D), or a refusal."""
    if isinstance(shape, Tokens):
        raise refuse(
            f"{kind} needs a sequence of features (L, D)",
            f"it gets {show(shape)}",
            "Put an embedding before it.",
            preceded("Insert embedding before it", {"kind": "embedding"}),
        )
    if len(shape) == 3:
        raise _needs_steps(kind, shape)
    if len(shape) != 2:
        raise refuse(
            f"{kind} needs a sequence of features (L, D)",
            f"it gets {show(shape)}",
            "Move it before the layer that makes a vector of the sequence, or remove it.",
        )
    return shape[0], shape[1]


def _needs_steps(kind: str, shape: Shape) -> LayerError:
    """The refusal of an image: attention reads patches of it, other layers its rows."""
    rule, fact = f"{kind} needs a sequence of features (L, D)", f"it gets {show(shape)}"
    size = patch_that_fits(shape[1], shape[2], 4)
    if kind not in OF_PATCHES or size is None:
        fix = preceded("Insert image_rows before it", {"kind": "image_rows"})
        return refuse(rule, fact, "Read the image row by row: put image_rows before it.", fix)
    fix = preceded("Insert patch_embedding before it", {"kind": "patch_embedding", "patch_size": size})
    return refuse(rule, fact, "Cut the image into patches: put patch_embedding before it.", fix)


def patch_that_fits(height: int, width: int, near: int) -> int | None:
    """The side of a patch nearest to `near`, between half and twice of it, that divides both sides of an
    image; those that give two patches a side go first. None where there is none."""
    both = math.gcd(height, width)
    fit = [n for n in range(1, min(both, LARGEST_PATCH) + 1) if both % n == 0 and near <= 2 * n <= 4 * near]
    return min(fit, key=lambda n: (min(height, width) // n < 2, abs(n - near), n), default=None)


def steps(shape: Shape) -> int:
    """How often a layer that works step by step is applied: L of a sequence (L, D), once to anything else."""
    return shape[0] if len(shape) == 2 else 1


def show(shape: Shape) -> str:
    """(32, 14, 14) as `32×14×14`, tokens as `64 tokens of 65`: the form every page prints."""
    if isinstance(shape, Duel):
        return f"noise {show(shape.noise)} → {show(shape.image)}"
    if isinstance(shape, Pair):
        return f"{show(shape.source)} → {show(shape.target)}"
    if isinstance(shape, Tokens):
        return f"{shape.length} tokens of {shape.vocabulary:,}"
    if isinstance(shape, Columns):
        return f"{shape.numeric} numbers, {len(shape.categories)} categories"
    if isinstance(shape, Window):
        return (
            f"{shape.length:,} steps of {shape.variates:,} {'variate' if shape.variates == 1 else 'variates'}"
        )
    return "×".join(str(n) for n in shape)


def window(
    kind: str,
    size: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int = 1,
    *,
    ceil_mode: bool = False,
    fix: Fix | None = None,
) -> int:
    """Length after a sliding window, as torch.nn.Conv2d and MaxPool2d give it."""
    reach = dilation * (kernel - 1) + 1
    room = size + 2 * padding - reach
    out = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (out - 1) * stride >= size + padding:
        out -= 1  # torch drops a last window that would begin in the padding
    if out < 1:
        raise refuse(
            f"{kind} needs an input at least as large as its window",
            f"the window spans {reach} pixels and the input is {size} with padding {padding}",
            "Use a smaller kernel, more padding, or fewer pooling layers before it.",
            fix,
        )
    return out
