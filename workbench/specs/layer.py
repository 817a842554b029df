"""What every layer can say of itself, and the words in which one refuses an input."""

from __future__ import annotations

from typing import ClassVar

from workbench.specs.base import Shape, Spec
from workbench.specs.errors import LayerError, Problem


class Layer(Spec):
    """A row of the layer editor."""

    group: ClassVar[str] = "other"  # the heading it stands under in the editor's menu

    def out_shape(self, shape: Shape) -> Shape:
        """Shape after this layer. Raises LayerError where the layer cannot take `shape`."""
        return shape

    def n_params(self, shape: Shape) -> int:
        """Trainable numbers, for an input of `shape`."""
        return 0

    def mult_adds(self, shape: Shape) -> int:
        """Multiply-adds for one sample of `shape`, counted as torchinfo counts them."""
        return 0


def refuse(rule: str, fact: str, repair: str) -> LayerError:
    """A layer's refusal. The stack that holds the layer adds where it stands."""
    return LayerError(Problem(where="layer", rule=rule, fact=fact, repair=repair))


def need_image(kind: str, shape: Shape) -> tuple[int, int, int]:
    """(C, H, W), or a refusal."""
    if len(shape) != 3:
        raise refuse(
            f"{kind} needs an image (C, H, W)",
            f"it gets {show(shape)}",
            "Move it before flatten, or remove it.",
        )
    return shape[0], shape[1], shape[2]


def show(shape: Shape) -> str:
    """(32, 14, 14) as `32×14×14`, the form every page prints."""
    return "×".join(str(n) for n in shape)


def window(kind: str, size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Length after a sliding window, as torch.nn.Conv2d and MaxPool2d give it (floor mode)."""
    reach = dilation * (kernel - 1) + 1
    out = (size + 2 * padding - reach) // stride + 1
    if size + 2 * padding < reach or out < 1:
        raise refuse(
            f"{kind} needs an input at least as large as its window",
            f"the window spans {reach} pixels and the input is {size} with padding {padding}",
            "Use a smaller kernel, more padding, or fewer pooling layers before it.",
        )
    return out
