"""Layers of sequences: from tokens to features, along the steps, and from a sequence to one vector.

Shapes: tokens of a text -> (L, D), L steps of D features. Mult-adds count every step.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from workbench.specs.base import Shape, Tokens, knob
from workbench.specs.layer import (
    Layer,
    need_image,
    need_sequence,
    need_tokens,
    refuse,
    removed,
    set_to,
    show,
    window,
)


class Embedding(Layer):
    """A learned vector for each token of the vocabulary (torch.nn.Embedding); padding stays zero."""

    group: ClassVar[str] = "text"
    takes_tokens: ClassVar[bool] = True
    kind: Literal["embedding"] = "embedding"
    embedding_dim: int = knob(128, "Numbers per token", ge=1, le=16_384)
    scale: bool = knob(
        False, "Multiply by the root of embedding_dim, as the first Transformer did", advanced=True
    )
    std: float = knob(0.1, "Spread of the vectors at the beginning", gt=0, le=10, advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        if not isinstance(shape, Tokens) and len(shape) == 2:
            raise refuse(
                "embedding needs the tokens of a text", f"it gets {show(shape)}",
                "One embedding is enough: remove this one.",
            )  # fmt: skip
        return (need_tokens(self.kind, shape).length, self.embedding_dim)

    def n_params(self, shape: Shape) -> int:
        return need_tokens(self.kind, shape).vocabulary * self.embedding_dim

    def mult_adds(self, shape: Shape) -> int:
        return 0  # a look-up


class Positions(Layer):
    """Adds to each step what tells its place; the table is as long as the texts may be."""

    group: ClassVar[str] = "text"
    kind: Literal["positions"] = "positions"
    encoding: Literal["learned", "sinusoidal"] = knob(
        "learned", "learned: a vector for each place; sinusoidal: waves of many lengths, nothing to learn"
    )
    dropout: float = knob(0.0, "Share of the values that is zeroed while training", ge=0, lt=1)

    def out_shape(self, shape: Shape) -> Shape:
        _, width = need_sequence(self.kind, shape)
        if self.encoding == "sinusoidal" and width % 2:
            raise refuse(
                "sinusoidal positions need an even number of features", f"there are {width}",
                "Use learned positions.", set_to(encoding="learned"),
            )  # fmt: skip
        return shape

    def n_params(self, shape: Shape) -> int:
        return shape[0] * shape[1] if self.encoding == "learned" else 0


class ClassToken(Layer):
    """Puts a learned step before the first: it gathers what the attention layers find for the whole."""

    group: ClassVar[str] = "text"
    kind: Literal["class_token"] = "class_token"

    def out_shape(self, shape: Shape) -> Shape:
        length, width = need_sequence(self.kind, shape)
        return (length + 1, width)

    def n_params(self, shape: Shape) -> int:
        return shape[1]


class ImageRows(Layer):
    """Reads an image row by row: each row of pixels is a step."""

    group: ClassVar[str] = "text"
    kind: Literal["image_rows"] = "image_rows"

    def out_shape(self, shape: Shape) -> Shape:
        channels, height, width = need_image(self.kind, shape)
        return (height, channels * width)

    def activations(self, shape: Shape) -> int:
        return 0 if shape[0] == 1 else super().activations(shape)


class Conv1d(Layer):
    """Learned filters that slide along the steps (torch.nn.Conv1d, features last)."""

    group: ClassVar[str] = "text"
    kind: Literal["conv1d"] = "conv1d"
    out_channels: int = knob(100, "Number of filters", ge=1, le=16_384)
    kernel_size: int = knob(3, "Steps that a filter sees", unit="steps", ge=1, le=255)
    stride: int = knob(1, "Steps between two windows", unit="steps", ge=1, le=64, advanced=True)
    padding: int = knob(0, "Zeros put before and behind the sequence", unit="steps", ge=0, le=255)
    causal: bool = knob(
        False, "Each step sees itself and earlier ones only, as many zeros before the first as it takes: the "
        "length stays, and padding has no say"
    )  # fmt: skip
    dilation: int = knob(
        1, "Distance between the steps of a filter", unit="steps", ge=1, le=64, advanced=True
    )
    groups: int = knob(1, "Groups of features that do not see each other", ge=1, le=16_384, advanced=True)
    bias: bool = knob(True, "Add one learned number per filter", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        length, width = need_sequence(self.kind, shape)
        for n, name in ((width, "the features before it"), (self.out_channels, "out_channels")):
            if n % self.groups:
                fit = max(
                    g for g in range(1, self.groups + 1) if width % g == 0 and self.out_channels % g == 0
                )
                raise refuse(
                    f"groups must divide {name}", f"{self.groups} groups and {n}", f"Set groups to {fit}.",
                    set_to(groups=fit),
                )  # fmt: skip
        if self.causal:
            return ((length - 1) // self.stride + 1, self.out_channels)
        reach = self.dilation * (self.kernel_size - 1) + 1
        lacking = -(-(reach - length) // 2)
        fix = set_to(padding=lacking) if lacking <= 255 else set_to(kernel_size=1, dilation=1)
        out = window(self.kind, length, self.kernel_size, self.stride, self.padding, self.dilation, fix=fix)
        return (out, self.out_channels)

    def n_params(self, shape: Shape) -> int:
        weights = self.out_channels * (shape[1] // self.groups) * self.kernel_size
        return weights + (self.out_channels if self.bias else 0)

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape) * self.out_shape(shape)[0]


class SequencePool(Layer):
    """One vector for the whole sequence; padding is left out."""

    group: ClassVar[str] = "text"
    kind: Literal["sequence_pool"] = "sequence_pool"
    mode: Literal["last", "mean", "max", "attention", "first"] = knob(
        "mean",
        "last: the last step; mean, max: over the steps; attention: a mean whose weights are learned; "
        "first: the first step, where a class token stands",
    )

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) == 1:
            raise refuse(
                "sequence_pool needs a sequence of features (L, D)", f"it gets {show(shape)}", "Remove it.",
                removed(self.kind),
            )  # fmt: skip
        return (need_sequence(self.kind, shape)[1],)

    def n_params(self, shape: Shape) -> int:
        return shape[1] + 1 if self.mode == "attention" else 0

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape) * shape[0]
