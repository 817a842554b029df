"""ModelSpec -> nn.Module. One builder per layer kind, in a plain table; input sizes follow the shapes.

Shapes leave out the batch axis: (C, H, W) for images, (D,) for vectors. Nothing here trains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from workbench.models.attention import SelfAttention, TransformerLayer, soften
from workbench.models.blocks import (
    LayerNorm2d,
    LayerScale,
    Parallel,
    Reparameterize,
    Residual,
    Skip,
    SqueezeExcitation,
)
from workbench.models.columns import ColumnEmbedding, ColumnTokens
from workbench.models.duel import Adversaries
from workbench.models.patches import PatchEmbedding
from workbench.models.pretrained import Pretrained
from workbench.models.pretrained_image import PretrainedVision
from workbench.models.sequence import (
    ClassToken,
    Conv1d,
    Embedding,
    EncoderDecoder,
    ImageRows,
    LSTMDecoder,
    Positions,
    Recurrent,
    SequenceParallel,
    SequencePool,
    SequenceResidual,
    Stack,
)
from workbench.models.series import SeriesLinear, WindowNorm
from workbench.specs import (
    activation,
    attention,
    columns,
    convolution,
    dense,
    latent,
    normalisation,
    patches,
    pooling,
    pretrained,
    pretrained_image,
    recurrent,
    sequence,
    series,
)
from workbench.specs import layers as spec
from workbench.specs.base import AnyShape, Duel, Pair, Shape
from workbench.specs.errors import SpecError
from workbench.specs.fitted import projection_stride
from workbench.specs.layer import Layer
from workbench.specs.model import ModelSpec
from workbench.specs.nesting import is_of_sequences


def build(model: ModelSpec, shape: AnyShape, seed: int | None = None) -> nn.Module:
    """The network for inputs of `shape`, on the CPU, with torch's own initial weights.

    Shapes: input (B, *shape) -> scores (B, K). Of tokens the input is (B, L) int64, padded with 0, for any
    L, and of a pair of texts (B, 2, L), to scores (B, L, K); see `models.sequence`. Child i is layer i of the
    spec, named str(i); inside groups a layer's name is its path: "3.layers.1", "3.shortcut.0",
    "3.branches.0.1", and "4.<turn>.1" in a repeat. Two stacks are children named encoder and decoder.
    Check: its parameters number `model.n_params(shape)`; the same seed gives the same weights, and
    torch's random state is left as it was when a seed is given.
    Raises: SpecError at the first layer that cannot work.
    """
    if not model.layers:
        raise SpecError(*model.problems(shape, 0))
    model.out_shape(shape)  # refuses a stack that cannot work, before anything is allocated
    if seed is None:
        return _whole(model, shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _whole(model, shape)


def build_layer(layer: Layer, shape: Shape) -> nn.Module:
    """The module of one layer for an input of `shape`, which is not checked here."""
    return BUILDERS[type(layer)](layer, shape)


def _whole(model: ModelSpec, shape: AnyShape) -> nn.Module:
    if isinstance(shape, Duel):
        return Adversaries(_stack(model.layers, shape.noise), _stack(model.decoder, shape.image))
    if isinstance(shape, Pair):
        built = EncoderDecoder(_stack(model.layers, shape.source), _stack(model.decoder, shape.target))
    else:
        built = _stack(model.layers, shape)
    soften(built)
    if model.tie_embeddings:
        tie(built.decoder if isinstance(shape, Pair) else built)
    return built


def _stack(layers: Sequence[Layer], shape: Shape) -> Any:
    """The layers in a row; of sequences where one of them is a sequence's."""
    kind = Stack if is_of_sequences(layers, shape) else nn.Sequential
    modules = []
    for layer in layers:
        modules.append(build_layer(layer, shape))
        shape = layer.out_shape(shape)
    return kind(*modules)


def tie(stack: nn.Module) -> None:
    """The last linear layer of `stack` gets the weights of its embedding."""
    linears = [module for module in stack.children() if isinstance(module, nn.Linear)]
    table = next(module for module in stack.children() if isinstance(module, Embedding)).table
    linears[-1].weight = table.weight


def _out(layers: Sequence[Layer], shape: Shape) -> Shape:
    for layer in layers:
        shape = layer.out_shape(shape)
    return shape


def _conv2d(layer: convolution.Conv2d, shape: Shape) -> nn.Module:
    return nn.Conv2d(
        shape[0],
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias,
    )


def _depthwise_conv2d(layer: convolution.DepthwiseConv2d, shape: Shape) -> nn.Module:
    return nn.Conv2d(
        shape[0],
        shape[0] * layer.multiplier,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=shape[0],
        bias=layer.bias,
    )


def _conv_transpose2d(layer: convolution.ConvTranspose2d, shape: Shape) -> nn.Module:
    return nn.ConvTranspose2d(
        shape[0],
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        output_padding=layer.output_padding,
        groups=layer.groups,
        bias=layer.bias,
        dilation=layer.dilation,
    )


def _max_pool2d(layer: pooling.MaxPool2d, shape: Shape) -> nn.Module:
    return nn.MaxPool2d(
        layer.kernel_size, layer.stride, layer.padding, dilation=layer.dilation, ceil_mode=layer.ceil_mode
    )


def _avg_pool2d(layer: pooling.AvgPool2d, shape: Shape) -> nn.Module:
    return nn.AvgPool2d(
        layer.kernel_size, layer.stride, layer.padding,
        ceil_mode=layer.ceil_mode, count_include_pad=layer.count_include_pad,
    )  # fmt: skip


def _batch_norm(layer: normalisation.BatchNorm, shape: Shape) -> nn.Module:
    norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return norm(shape[0], eps=layer.eps, momentum=layer.momentum, affine=layer.affine)


def _layer_norm2d(layer: normalisation.LayerNorm2d, shape: Shape) -> nn.Module:
    return LayerNorm2d(shape[0], eps=layer.eps, elementwise_affine=layer.elementwise_affine)


def _residual(layer: spec.Residual, shape: Shape) -> nn.Module:
    body = _stack(layer.layers, shape)
    shortcut = _stack(layer.shortcut, shape) if layer.shortcut else None
    out = _out(layer.layers, shape)
    if shortcut is None and out != shape:
        shortcut = _projection(shape, out)
    after = AFTER[layer.activation]
    last = after() if after else None
    if not isinstance(body, Stack) and not isinstance(shortcut, Stack):
        return Residual(body, shortcut, last)
    return SequenceResidual(_as_stack(body), None if shortcut is None else _as_stack(shortcut), last)


def _as_stack(layers: nn.Sequential) -> Stack:
    return layers if isinstance(layers, Stack) else Stack(*layers)


def _projection(shape: Shape, out: Shape) -> nn.Sequential:
    """What brings the input of a residual into shape where nothing else is said."""
    if len(shape) < 3:
        return nn.Sequential(nn.Linear(shape[-1], out[-1], bias=False))
    stride = projection_stride(shape, out) or 1
    return nn.Sequential(
        nn.Conv2d(shape[0], out[0], 1, stride=stride, bias=False),
        nn.BatchNorm2d(out[0]),
    )


def _parallel(layer: spec.Parallel, shape: Shape) -> nn.Module:
    branches = [_stack(branch, shape) for branch in layer.branches]
    if any(isinstance(branch, Stack) for branch in branches):
        return SequenceParallel(*map(_as_stack, branches), join=layer.join)
    return Parallel(*branches, join=layer.join)


def _repeat(layer: spec.Repeat, shape: Shape) -> nn.Module:
    turns = []
    for _ in range(layer.times):
        turns.append(_stack(layer.layers, shape))
        shape = _out(layer.layers, shape)
    return Stack(*turns) if isinstance(turns[0], Stack) else nn.Sequential(*turns)


def _recurrent(kind: type[nn.RNNBase]) -> Callable[[Any, Shape], nn.Module]:
    def make(layer: recurrent.Recurrent, shape: Shape) -> nn.Module:
        between = layer.dropout if layer.num_layers > 1 else 0.0
        more = {"nonlinearity": layer.nonlinearity} if isinstance(layer, recurrent.RNN) else {}
        return Recurrent(
            kind(
                shape[1], layer.hidden_size, layer.num_layers, batch_first=True, bias=layer.bias,
                bidirectional=layer.bidirectional, dropout=between, **more,
            )
        )  # fmt: skip

    return make


def _conv1d(layer: sequence.Conv1d, shape: Shape) -> nn.Module:
    return Conv1d(
        shape[1], layer.out_channels, layer.kernel_size, stride=layer.stride, padding=layer.padding,
        dilation=layer.dilation, groups=layer.groups, bias=layer.bias, causal=layer.causal,
    )  # fmt: skip


def _series_linear(layer: series.SeriesLinear, shape: Shape) -> nn.Module:
    return SeriesLinear(
        shape[0], shape[1], layer.out_steps, layer.kernel_size, layer.individual, layer.normalize, layer.bias
    )


def _attention(layer: attention.MultiheadAttention, shape: Shape) -> nn.Module:
    return SelfAttention(shape[1], layer.num_heads, layer.dropout, layer.bias, layer.causal, layer.rotary)


def _transformer(layer: attention.TransformerLayer, shape: Shape) -> nn.Module:
    return TransformerLayer(
        shape[1], layer.nhead, layer.dim_feedforward, dropout=layer.dropout, activation=layer.activation,
        norm_first=layer.norm_first, bias=layer.bias, causal=getattr(layer, "causal", True),
        rotary=layer.rotary, is_decoder=isinstance(layer, attention.TransformerDecoderLayer),
    )  # fmt: skip


def _column_embedding(layer: columns.ColumnEmbedding, shape: Shape) -> nn.Module:
    known = columns.need_columns(layer.kind, shape)
    return ColumnEmbedding(known.numeric, known.categories, layer.widths(shape))


def _column_tokens(layer: columns.ColumnTokens, shape: Shape) -> nn.Module:
    known = columns.need_columns(layer.kind, shape)
    return ColumnTokens(known.numeric, known.categories, layer.embedding_dim)


AFTER: dict[str, Callable[[], nn.Module] | None] = {
    "none": None, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "silu": nn.SiLU,
}  # fmt: skip

# singledispatch would do the same with more ceremony; a new layer is one line here.
BUILDERS: dict[type[Layer], Callable[[Any, Shape], nn.Module]] = {
    convolution.Conv2d: _conv2d,
    convolution.DepthwiseConv2d: _depthwise_conv2d,
    convolution.ConvTranspose2d: _conv_transpose2d,
    convolution.Upsample: lambda layer, shape: nn.Upsample(scale_factor=layer.scale_factor, mode=layer.mode),
    convolution.SqueezeExcitation: lambda layer, shape: SqueezeExcitation(shape[0], layer.squeezed(shape[0])),
    pooling.MaxPool2d: _max_pool2d,
    pooling.AvgPool2d: _avg_pool2d,
    pooling.AdaptiveAvgPool2d: lambda layer, shape: nn.AdaptiveAvgPool2d(layer.output_size),
    pooling.AdaptiveMaxPool2d: lambda layer, shape: nn.AdaptiveMaxPool2d(layer.output_size),
    pooling.GlobalAvgPool2d: lambda layer, shape: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    pooling.GlobalMaxPool2d: lambda layer, shape: nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()),
    normalisation.BatchNorm: _batch_norm,
    normalisation.LayerNorm: lambda layer, shape: nn.LayerNorm(
        shape[-1] if len(shape) == 2 else shape, eps=layer.eps, elementwise_affine=layer.elementwise_affine
    ),
    normalisation.LayerNorm2d: _layer_norm2d,
    normalisation.GroupNorm: lambda layer, shape: nn.GroupNorm(
        layer.num_groups, shape[0], eps=layer.eps, affine=layer.affine
    ),
    normalisation.InstanceNorm: lambda layer, shape: nn.InstanceNorm2d(
        shape[0], eps=layer.eps, affine=layer.affine
    ),
    normalisation.LayerScale: lambda layer, shape: LayerScale(
        shape[-1] if len(shape) == 2 else shape[0], layer.init
    ),
    activation.ReLU: lambda layer, shape: nn.ReLU(),
    activation.ReLU6: lambda layer, shape: nn.ReLU6(),
    activation.LeakyReLU: lambda layer, shape: nn.LeakyReLU(layer.negative_slope),
    activation.PReLU: lambda layer, shape: nn.PReLU(shape[0] if layer.per_channel else 1, layer.init),
    activation.RReLU: lambda layer, shape: nn.RReLU(layer.lower, layer.upper),
    activation.ELU: lambda layer, shape: nn.ELU(layer.alpha),
    activation.SELU: lambda layer, shape: nn.SELU(),
    activation.CELU: lambda layer, shape: nn.CELU(layer.alpha),
    activation.GELU: lambda layer, shape: nn.GELU(layer.approximate),
    activation.SiLU: lambda layer, shape: nn.SiLU(),
    activation.Hardswish: lambda layer, shape: nn.Hardswish(),
    activation.Mish: lambda layer, shape: nn.Mish(),
    activation.GLU: lambda layer, shape: nn.GLU(dim=-1 if len(shape) == 2 else 1),
    activation.Tanh: lambda layer, shape: nn.Tanh(),
    activation.Hardtanh: lambda layer, shape: nn.Hardtanh(layer.min_val, layer.max_val),
    activation.Softsign: lambda layer, shape: nn.Softsign(),
    activation.Tanhshrink: lambda layer, shape: nn.Tanhshrink(),
    activation.Hardshrink: lambda layer, shape: nn.Hardshrink(layer.lambd),
    activation.Softshrink: lambda layer, shape: nn.Softshrink(layer.lambd),
    activation.Sigmoid: lambda layer, shape: nn.Sigmoid(),
    activation.Hardsigmoid: lambda layer, shape: nn.Hardsigmoid(),
    activation.LogSigmoid: lambda layer, shape: nn.LogSigmoid(),
    activation.Softplus: lambda layer, shape: nn.Softplus(),
    activation.Softmax: lambda layer, shape: nn.Softmax(dim=-1 if len(shape) == 2 else 1),
    activation.LogSoftmax: lambda layer, shape: nn.LogSoftmax(dim=-1 if len(shape) == 2 else 1),
    dense.Dropout: lambda layer, shape: nn.Dropout(layer.p),
    dense.Dropout2d: lambda layer, shape: nn.Dropout2d(layer.p),
    dense.AlphaDropout: lambda layer, shape: nn.AlphaDropout(layer.p),
    dense.Flatten: lambda layer, shape: nn.Flatten(),
    dense.Linear: lambda layer, shape: nn.Linear(shape[-1], layer.out_features, bias=layer.bias),
    latent.Unflatten: lambda layer, shape: nn.Unflatten(1, (-1, layer.height, layer.width)),
    latent.Reparameterize: lambda layer, shape: Reparameterize(),
    sequence.Embedding: lambda layer, shape: Embedding(shape[1], layer.embedding_dim, layer.scale, layer.std),
    sequence.Positions: lambda layer, shape: Positions(shape[0], shape[1], layer.encoding, layer.dropout),
    sequence.ClassToken: lambda layer, shape: ClassToken(shape[1]),
    sequence.ImageRows: lambda layer, shape: ImageRows(),
    sequence.Conv1d: _conv1d,
    sequence.SequencePool: lambda layer, shape: SequencePool(layer.mode, shape[1]),
    series.SeriesLinear: _series_linear,
    recurrent.RNN: _recurrent(nn.RNN),
    recurrent.LSTM: _recurrent(nn.LSTM),
    recurrent.GRU: _recurrent(nn.GRU),
    recurrent.LSTMDecoder: lambda layer, shape: LSTMDecoder(
        shape[1], layer.hidden_size, layer.num_layers, layer.dropout
    ),
    patches.PatchEmbedding: lambda layer, shape: PatchEmbedding(
        shape[0], layer.embed_dim, layer.patch_size, layer.bias
    ),
    attention.MultiheadAttention: _attention,
    attention.TransformerEncoderLayer: _transformer,
    attention.TransformerDecoderLayer: _transformer,
    columns.ColumnEmbedding: _column_embedding,
    columns.ColumnTokens: _column_tokens,
    pretrained.PretrainedText: lambda layer, shape: Pretrained(layer),
    pretrained_image.PretrainedImage: lambda layer, shape: PretrainedVision(layer),
    spec.Residual: _residual,
    spec.Parallel: _parallel,
    spec.Repeat: _repeat,
    spec.Skip: lambda layer, shape: Skip(_stack(layer.layers, shape), layer.first),
    spec.WindowNorm: lambda layer, shape: WindowNorm(
        _stack(layer.layers, shape), layer.how, series.told_of(shape)
    ),
}
