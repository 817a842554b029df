"""Every layer there is, by kind; and the groups, which hold layers themselves.

Field names are PyTorch's own. Input sizes are never fields: they follow from the layer before.
Shapes leave out the batch axis: (C, H, W) for images, (D,) for vectors, (L, D) for sequences. All is plain
Python, and property tests prove it equal to torch's for every layer. Mult-adds count as torchinfo
does (1.8), per sample: every weight application, biases included, for layers with parameters; of sequences,
where torchinfo counts one step, every step counts, and the products of attention too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from workbench.specs.activation import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Activation,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softshrink,
    Softsign,
    Tanh,
    Tanhshrink,
)  # fmt: skip
from workbench.specs.attention import MultiheadAttention, TransformerDecoderLayer, TransformerEncoderLayer
from workbench.specs.base import Columns, Shape, Tokens, knob
from workbench.specs.columns import ColumnEmbedding, ColumnTokens
from workbench.specs.convolution import (
    Conv2d,
    ConvTranspose2d,
    DepthwiseConv2d,
    SqueezeExcitation,
    Upsample,
    most_channels,
)  # fmt: skip
from workbench.specs.dense import AlphaDropout, Dropout, Dropout2d, Flatten, Linear
from workbench.specs.errors import Edit, Fix, LayerError, Path
from workbench.specs.fitted import keeping_size, projection_stride, works
from workbench.specs.latent import Reparameterize, Unflatten
from workbench.specs.layer import Layer, Sight, preceded, refuse, removed, set_to, show
from workbench.specs.normalisation import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LayerNorm2d,
    LayerScale,
)
from workbench.specs.patches import PatchEmbedding
from workbench.specs.pooling import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    MaxPool2d,
)  # fmt: skip
from workbench.specs.pretrained import PretrainedText
from workbench.specs.pretrained_image import PretrainedImage
from workbench.specs.recurrent import GRU, LSTM, RNN, LSTMDecoder
from workbench.specs.rows import Group, Inside, Row, first_problem, trace
from workbench.specs.sequence import ClassToken, Conv1d, Embedding, ImageRows, Positions, SequencePool
from workbench.specs.series import SeriesLinear, WindowNormGroup, flat
from workbench.specs.skip import SkipGroup, down_and_up

MAX_LAYERS = 256  # written in one list
MAX_BRANCHES = 16
MAX_TIMES = 64

# ---------------------------------------------------------------- groups


def _block(channels: int) -> tuple[Any, ...]:
    """Two 3×3 convolutions, each with a norm: the body that a new residual starts with."""
    conv = Conv2d(out_channels=channels, kernel_size=3, padding=1, bias=False)
    return (conv, BatchNorm(), ReLU(), conv, BatchNorm())


class Residual(Group):
    """Adds the input to what its layers make of it, so that deep stacks learn (He et al. 2016).

    Where shapes differ and no shortcut layers are given, a 1×1 convolution with the stride that fits and
    a batch norm bring the input into shape (vectors: a linear layer without bias).
    """

    group: ClassVar[str] = "group"
    kind: Literal["residual"] = "residual"
    layers: tuple[AnyLayer, ...] = Field(
        default_factory=lambda: _block(32), description="The layers around which the input is led",
        max_length=MAX_LAYERS,
    )  # fmt: skip
    shortcut: tuple[AnyLayer, ...] = Field(
        (), description="Layers on the way around; empty: none, or the projection that fits",
        max_length=MAX_LAYERS,
    )  # fmt: skip
    activation: Literal["none", "relu", "leaky_relu", "gelu", "silu"] = knob("relu", "After the sum")

    def slots(self) -> Sequence[tuple[Path, Sequence[Layer]]]:
        return ((("layers",), self.layers), (("shortcut",), self.shortcut))

    def inside(self, shape: Shape, sight: Sight, path: Path) -> Inside:
        if not self.layers:
            raise _empty(self.kind)
        body = trace(self.layers, shape, (*path, "layers"), sight)
        around = trace(self.shortcut, shape, (*path, "shortcut"), sight)
        if isinstance(shape, Tokens | Columns) and not around and not first_problem(body):
            raise _of_tokens("a residual adds its input", shape)
        out, seen = body[-1].out_shape, body[-1].sight or sight
        if first_problem([*body, *around]) or out is None:
            return Inside([*body, *around], None, sight)
        parameters = mult_adds = 0
        if around:
            end, see = around[-1].out_shape, around[-1].sight or sight
            if end != out:
                raise self._mismatch(shape, out, f"the shortcut gives {show(end or ())}")
            seen = Sight(max(seen.size, see.size), seen.jump)
        elif out != shape:
            if len(out) == len(shape) == 1:
                parameters = mult_adds = shape[0] * out[0]
            elif len(out) == len(shape) == 2 and out[0] == shape[0]:
                parameters = shape[1] * out[1]
                mult_adds = parameters * shape[0]
            elif projection_stride(shape, out) is None:
                raise self._mismatch(shape, out, f"the input is {show(shape)}")
            else:
                weight, norm = shape[0] * out[0], 2 * out[0]
                parameters = weight + norm
                mult_adds = weight * out[1] * out[2] + norm
        size = 1
        for n in out:
            size *= n
        extra = size * (2 if self.activation != "none" else 1) + (2 * size if parameters else 0)
        return Inside([*body, *around], out, seen, parameters, mult_adds, extra)

    def _mismatch(self, shape: Shape, out: Shape, other: str) -> LayerError:
        fix = self._repair(shape)
        return refuse(
            "a residual adds two results of the same shape",
            f"its layers give {show(out)} and {other}",
            fix.label + ".",
            fix,
        )

    def _repair(self, shape: Shape) -> Fix:
        if self.shortcut and self._works(shape, shortcut=()):
            edits = tuple(Edit(action="remove", path=("shortcut", 0)) for _ in self.shortcut)
            return Fix(label="Use the shortcut that fits by itself", edits=edits)
        padded, edits = keeping_size(self.layers, ("layers",))
        if edits and self._works(shape, layers=padded):
            return Fix(label="Pad the layers so that they keep the size", edits=edits)
        inner = [layer.model_dump(mode="json") for layer in self.layers]
        unwrapped = [Edit(action="insert", path=(), layer=layer) for layer in inner[::-1]]
        return Fix(
            label="Take its layers out of the residual",
            edits=(Edit(action="remove", path=()), *unwrapped),
        )

    def _works(self, shape: Shape, **fields: Any) -> bool:
        return works(self.model_copy(update=fields), shape)


class Parallel(Group):
    """Several branches on the same input, side by side: joined over channels or features, or added up."""

    group: ClassVar[str] = "group"
    kind: Literal["parallel"] = "parallel"
    branches: tuple[Annotated[tuple[AnyLayer, ...], Field(max_length=MAX_LAYERS)], ...] = Field(
        default_factory=lambda: (
            (Conv2d(out_channels=16, kernel_size=1), ReLU()),
            (Conv2d(out_channels=16, kernel_size=3, padding=1), ReLU()),
        ),
        description="The branches; an empty one passes its input on as it is",
        max_length=MAX_BRANCHES,
    )
    join: Literal["concat", "sum"] = knob("concat", "concat: channels side by side; sum: add the results")

    def slots(self) -> Sequence[tuple[Path, Sequence[Layer]]]:
        return tuple((("branches", i), branch) for i, branch in enumerate(self.branches))

    def inside(self, shape: Shape, sight: Sight, path: Path) -> Inside:
        if not self.branches:
            raise _empty(self.kind, "branch")
        rows: list[Row] = []
        outs: list[Shape | None] = []
        seen = sight
        for i, branch in enumerate(self.branches):
            traced = trace(branch, shape, (*path, "branches", i), sight)
            rows += traced
            outs.append(traced[-1].out_shape if traced else shape)
            see = (traced[-1].sight if traced else None) or sight
            seen = Sight(max(seen.size, see.size), see.jump)
        shapes = [out for out in outs if out is not None]
        if first_problem(rows) or len(shapes) < len(outs):
            return Inside(rows, None, sight)
        if any(isinstance(out, Tokens | Columns) for out in shapes):
            raise _of_tokens("an empty branch passes its input on", shape)
        joined = self._joined(shapes)
        if joined is None:
            fix = self._repair(shape, shapes)
            same = "image size" if self.join == "concat" else "shape"
            told = ", ".join(show(out) for out in shapes)
            raise refuse(f"branches must give the same {same}", f"they give {told}", fix.label + ".", fix)
        most_channels(self.kind, joined[0])
        size = 1
        for n in joined:
            size *= n
        return Inside(rows, joined, seen, activations=size)

    def _joined(self, shapes: Sequence[Shape]) -> Shape | None:
        first = shapes[0]
        if self.join == "sum":
            return first if all(out == first for out in shapes) else None
        if len(first) == 2:  # sequences: feature by feature
            if any(len(out) != 2 or out[0] != first[0] for out in shapes):
                return None
            return (first[0], sum(out[1] for out in shapes))
        if any(out[1:] != first[1:] for out in shapes):
            return None
        return (sum(out[0] for out in shapes), *first[1:])

    def _repair(self, shape: Shape, shapes: Sequence[Shape]) -> Fix:
        branches: list[tuple[Any, ...]] = []
        edits: list[Edit] = []
        for i, branch in enumerate(self.branches):
            padded, more = keeping_size(branch, ("branches", i))
            branches.append(padded)
            edits += more
        if edits and works(self.model_copy(update={"branches": tuple(branches)}), shape):
            return Fix(label="Pad the branches so that they keep the size", edits=tuple(edits))
        if self.join == "sum" and works(self.model_copy(update={"join": "concat"}), shape):
            return set_to(join="concat")
        odd = next(i for i, out in enumerate(shapes) if self._joined([shapes[0], out]) is None)
        edit = Edit(action="remove", path=("branches", odd))
        return Fix(label=f"Remove branch {odd + 1}", edits=(edit,))


class Repeat(Group):
    """The same layers again and again, each time with weights of their own."""

    group: ClassVar[str] = "group"
    kind: Literal["repeat"] = "repeat"
    times: int = knob(2, "How often", ge=1, le=MAX_TIMES)
    layers: tuple[AnyLayer, ...] = Field(
        default_factory=lambda: (Conv2d(out_channels=32, padding=1), ReLU()),
        description="The layers that are repeated", max_length=MAX_LAYERS,
    )  # fmt: skip

    def slots(self) -> Sequence[tuple[Path, Sequence[Layer]]]:
        return ((("layers",), self.layers),)

    def inside(self, shape: Shape, sight: Sight, path: Path) -> Inside:
        if not self.layers:
            raise _empty(self.kind)
        rows: list[Row] = []
        for turn in range(self.times):
            traced = trace(self.layers, shape, (*path, "layers"), sight)
            problem = first_problem(traced)
            if problem and turn:
                raise refuse(
                    "every repetition must work",
                    f"repetition {turn + 1} gets {show(shape)}, and {problem.rule}",
                    f"Set times to {turn}.",
                    set_to(times=turn),
                )
            rows = [_added(a, b) for a, b in zip(rows, traced, strict=True)] if rows else traced
            out = traced[-1].out_shape
            if problem or out is None:
                return Inside(rows, None, sight)
            shape, sight = out, traced[-1].sight or sight
        rows = [_repeated(row, self.times) for row in rows]
        return Inside(rows, shape, sight)


class Skip(SkipGroup):
    """Puts its input beside what its layers make of it, channel by channel: a step of a U-Net.

    The layers usually halve the image, look at it from afar and enlarge it again. Where a side comes out a
    few pixels short or long, it is padded with zeros or cut at its far edge (Ronneberger et al. 2015 cut).
    """

    layers: tuple[AnyLayer, ...] = Field(
        default_factory=down_and_up, description="The layers around which the input is led",
        max_length=MAX_LAYERS,
    )  # fmt: skip


class WindowNorm(WindowNormGroup):
    """Brings each window to one level and spread, and what its layers tell of it back (Kim et al. 2022).

    A series whose level drifts looks to its layers as it did before: they learn shapes, not heights.
    """

    layers: tuple[AnyLayer, ...] = Field(
        default_factory=flat, description="The layers that see the window on its own scale",
        max_length=MAX_LAYERS,
    )  # fmt: skip


def _added(one: Row, more: Row) -> Row:
    """Two repetitions of a row as one: sums, and the shape of the later one."""
    return replace(
        more,
        parameters=one.parameters + more.parameters,
        mult_adds=one.mult_adds + more.mult_adds,
        activations=one.activations + more.activations,
        children=tuple(_added(a, b) for a, b in zip(one.children, more.children, strict=True)),
    )


def _repeated(row: Row, times: int) -> Row:
    children = tuple(_repeated(child, times) for child in row.children)
    return replace(row, times=row.times * times, children=children)


def _of_tokens(what: str, shape: Shape) -> LayerError:
    if isinstance(shape, Columns):
        return refuse(
            f"{what}, which must be numbers to reckon with", f"it gets {show(shape)}",
            "Put a column_embedding before it.",
            preceded("Insert column_embedding before it", {"kind": "column_embedding"}),
        )  # fmt: skip
    return refuse(
        f"{what}, which must be numbers to reckon with", f"it gets {show(shape)}",
        "Put an embedding before it.", preceded("Insert embedding before it", {"kind": "embedding"}),
    )  # fmt: skip


def _empty(kind: str, what: str = "layer") -> LayerError:
    return refuse(
        f"a {kind} needs at least one {what}", "it is empty", f"Add a {what}, or remove it.", removed(kind)
    )


# ---------------------------------------------------------------- all of them

AnyLayer = Annotated[
    Conv2d | DepthwiseConv2d | ConvTranspose2d | Upsample | SqueezeExcitation
    | MaxPool2d | AvgPool2d | AdaptiveAvgPool2d | AdaptiveMaxPool2d | GlobalAvgPool2d | GlobalMaxPool2d
    | BatchNorm | LayerNorm | LayerNorm2d | GroupNorm | InstanceNorm | LayerScale
    | ReLU | LeakyReLU | PReLU | RReLU | ReLU6 | ELU | SELU | CELU | GELU | SiLU | Hardswish | Mish | GLU
    | Tanh | Hardtanh | Softsign | Tanhshrink | Hardshrink | Softshrink
    | Sigmoid | Hardsigmoid | LogSigmoid | Softplus | Softmax | LogSoftmax
    | Dropout | Dropout2d | AlphaDropout
    | Flatten | Linear | Unflatten | Reparameterize
    | Embedding | Positions | ClassToken | ImageRows | Conv1d | SequencePool
    | RNN | LSTM | GRU | LSTMDecoder
    | SeriesLinear
    | PatchEmbedding | MultiheadAttention | TransformerEncoderLayer | TransformerDecoderLayer
    | PretrainedText | PretrainedImage
    | ColumnEmbedding | ColumnTokens
    | Residual | Parallel | Repeat | Skip | WindowNorm,
    Field(discriminator="kind"),
]  # fmt: skip

for _group in (Residual, Parallel, Repeat, Skip, WindowNorm):
    _group.model_rebuild()

LAYERS: dict[str, type[Layer]] = {
    cls.model_fields["kind"].default: cls
    for cls in AnyLayer.__origin__.__args__  # type: ignore[attr-defined]
}
GROUPS: dict[str, type[Group]] = {kind: cls for kind, cls in LAYERS.items() if issubclass(cls, Group)}

__all__ = [
    "GROUPS", "LAYERS", "MAX_LAYERS", "Activation", "AnyLayer", "Parallel", "Repeat", "Residual", "Skip",
    "WindowNorm",
]  # fmt: skip
