"""A model as plain PyTorch code that a person would have written. Needs no torch to be generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from workbench.export.pretrained import pretrained_code
from workbench.export.pretrained_image import pretrained_image_code
from workbench.export.sequences import changed, of_sequences
from workbench.export.sources import carried, definitions
from workbench.specs import (
    activation,
    attention,
    convolution,
    dense,
    latent,
    normalisation,
    pooling,
    sequence,
    series,
)
from workbench.specs import layers as spec
from workbench.specs.base import AnyShape, Columns, Duel, Pair, Picture, Shape, Tokens
from workbench.specs.fitted import projection_stride
from workbench.specs.layer import Layer, show
from workbench.specs.model import ModelSpec
from workbench.specs.nesting import every, is_of_sequences
from workbench.specs.pretrained import PretrainedText
from workbench.specs.pretrained_image import PretrainedImage

HEAD = '''"""{title}

Input: {taken}.
Output: {given}.
{parameters:,} parameters. Written by the workbench; needs PyTorch alone.
"""

{imports}

{blocks}
'''

NET = """class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = {kind}(
{body}        )
{after}
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)
"""

TAIL = """

if __name__ == "__main__":
    model = Net()
    # To use trained weights, exported from the workbench:
    #   from safetensors.torch import load_file
    #   model.layers.load_state_dict(load_file("weights.safetensors"))
    print(model)
    print(sum(p.numel() for p in model.parameters()), "parameters")
    print(tuple(model.eval()({sample}).shape))
"""

Line = tuple[str, str]  # a line of code, and the comment beside it
AFTER = {"relu": "nn.ReLU()", "leaky_relu": "nn.LeakyReLU()", "gelu": "nn.GELU()", "silu": "nn.SiLU()"}


def pytorch_code(model: ModelSpec, shape: AnyShape, n_classes: int, title: str = "A network.") -> str:
    """A Python script that defines the model as `class Net(nn.Module)`, the shape after each layer beside it.

    shape: (C, H, W) of the input. Child i of `Net().layers` is layer i, so weights carry over by name.
    Blocks that torch.nn lacks are defined in the script, by the very source that the workbench trains.
    Check: run, it gives a module with `model.n_params(shape)` parameters, and with equal weights equal
    outputs to the one the workbench trains.
    Raises: SpecError at the first layer that cannot work.
    """
    out = model.out_shape(shape)
    if isinstance(shape, Tokens) and any(isinstance(layer, PretrainedText) for layer in model.layers):
        return pretrained_code(model, shape, _safe(title))
    if not isinstance(shape, Pair) and any(isinstance(layer, PretrainedImage) for layer in model.layers):
        return pretrained_image_code(model, shape, _safe(title))
    kind, raw = _whole(model, shape)
    rows = [(f"        {text}", f"# {comment}" if comment else "") for text, comment in raw]
    width = min(80, max((len(text) for text, _ in rows), default=0))
    lines = [f"{text.ljust(width)}  {comment}".rstrip() + "\n" for text, comment in rows]
    net = NET.format(kind=kind, body="".join(lines), after="".join(_afterwards(model, shape)))
    imports, blocks = carried(net)
    taken, sample = _input(shape)
    head = HEAD.format(
        title=_safe(title), taken=taken, given=_output(out, n_classes, shape),
        parameters=model.n_params(shape), imports="\n".join(imports), blocks=blocks,
    )  # fmt: skip
    return head.rstrip() + "\n\n\n" + net + TAIL.replace("{sample}", sample)


def _whole(model: ModelSpec, shape: AnyShape) -> tuple[str, list[Line]]:
    """The class of the network, and the lines of its arguments."""
    lines: list[Line] = []
    if isinstance(shape, Duel):
        for name, layers, part in (
            ("generator", model.layers, shape.noise), ("discriminator", model.decoder, shape.image)
        ):  # fmt: skip
            inner = _sequential(layers, part)
            lines += _inner([(f"{name}={inner[0][0]}", inner[0][1]), *inner[1:]])
        return "Adversaries", lines
    if not isinstance(shape, Pair):
        kind = "Stack" if is_of_sequences(model.layers, shape) else "nn.Sequential"
        return kind, _lines(model.layers, shape)
    for name, layers, tokens in (
        ("encoder", model.layers, shape.source), ("decoder", model.decoder, shape.target)
    ):  # fmt: skip
        inner = _sequential(layers, tokens, is_stack=True)
        lines += _inner([(f"{name}={inner[0][0]}", inner[0][1]), *inner[1:]])
    return "EncoderDecoder", lines


def _afterwards(model: ModelSpec, shape: AnyShape) -> Iterator[str]:
    """What is done to the whole network once it is built."""
    both = (*model.layers, *model.decoder)
    if any(isinstance(layer, attention.TransformerEncoderLayer) and layer.causal for layer in every(both)):
        yield "        soften(self.layers)\n"
    if model.tie_embeddings:
        name, stack = (
            ("layers.decoder", model.decoder) if isinstance(shape, Pair) else ("layers", model.layers)
        )
        table = next(i for i, layer in enumerate(stack) if isinstance(layer, sequence.Embedding))
        last = max(i for i, layer in enumerate(stack) if isinstance(layer, dense.Linear))
        yield f"        self.{name}[{last}].weight = self.{name}[{table}].table.weight  # one for both\n"


def _input(shape: AnyShape) -> tuple[str, str]:
    """What goes in, in words and as code."""
    if isinstance(shape, Pair):
        shorter = min(part.length for part in shape)
        words = (
            f"(B, 2, L) int64 ids, 0 for padding; x[:, 0] is the source ({show(shape.source)} at most),\n"
            f"x[:, 1] what is written so far, behind its beginning mark ({show(shape.target)} at most)"
        )
        return words, f"torch.ones(1, 2, {shorter}, dtype=torch.int64)"
    if isinstance(shape, Tokens):
        words = f"(B, L) int64 ids, 0 for padding: {show(shape)} at most"
        return words, f"torch.ones(1, {shape.length}, dtype=torch.int64)"
    if isinstance(shape, Columns):
        known = ", ".join(str(n) for n in shape.categories)
        words = (
            f"(B, {shape[0]}) float32: {shape.numeric} numbers, then a code for each column of\n"
            f"categories, below {known}"
        )
        return words, f"torch.zeros(1, {shape[0]})"
    words = f"(B, {_numbers(shape)}) float32"
    if isinstance(shape, Duel):
        words += f"; layers.generator takes noise, (B, {_numbers(shape.noise)}), and makes such images of it"
    return words, f"torch.zeros(1, {_numbers(shape)})"


def _output(out: Shape, n_classes: int, shape: AnyShape) -> str:
    if isinstance(shape, Duel):
        return "(B, 1) scores, high for true images; torch.nn.BCEWithLogitsLoss takes them as they are"
    if isinstance(shape, Picture) and shape.scored:
        return f"(B, {_numbers(out)}) scores of each class and pixel, as torch.nn.CrossEntropyLoss takes them"
    if len(out) == 3:
        return f"(B, {_numbers(out)}) images"
    if len(out) == 2:
        return (
            f"(B, L, {n_classes}) scores of the next token at every step; torch.nn.CrossEntropyLoss takes\n"
            "scores.transpose(1, 2)"
        )
    return f"(B, {n_classes}) scores, one per class; torch.nn.CrossEntropyLoss takes them as they are"


def _safe(title: str) -> str:
    """A title that ends neither the docstring nor its line."""
    plain = "".join(c if c.isprintable() else " " for c in title)
    return plain.replace("\\", "/").replace('"', "'").strip() or "A network."


def _lines(layers: Sequence[Layer], shape: Shape) -> list[Line]:
    """The layers of a list, four spaces in, each with the shape after it."""
    lines: list[Line] = []
    for layer in layers:
        after = layer.out_shape(shape)
        text = _group(layer, shape)
        if text is None:
            lines.append((f"    {_call(layer, shape)},", show(after)))
        else:
            text = [("    " + line, comment) for line, comment in text]
            lines += [(text[0][0], text[0][1] or show(after)), *text[1:]]
        shape = after
    return lines


def _sequential(layers: Sequence[Layer], shape: Shape, is_stack: bool | None = None) -> list[Line]:
    is_stack = is_of_sequences(layers, shape) if is_stack is None else is_stack
    kind = "Stack" if is_stack else "nn.Sequential"
    if not layers:
        return [(f"{kind}(),", "")]
    return [(f"{kind}(", ""), *_lines(layers, shape), ("),", "")]


def _group(layer: Layer, shape: Shape) -> list[Line] | None:
    """The lines of a group; None for any other layer."""
    if isinstance(layer, spec.Residual):
        is_stack = any(is_of_sequences(inner, shape) for inner in (layer.layers, layer.shortcut) if inner)
        parts = _sequential(layer.layers, shape, is_stack)
        out = _out(layer.layers, shape)
        if layer.shortcut:
            around = _sequential(layer.shortcut, shape, is_stack)
            parts += [(f"shortcut={around[0][0]}", around[0][1]), *around[1:]]
        elif out != shape:
            parts += _projection(shape, out, "Stack" if is_stack else "nn.Sequential")
        if layer.activation != "none":
            parts.append((f"activation={AFTER[layer.activation]},", ""))
        return [("SequenceResidual(" if is_stack else "Residual(", ""), *_inner(parts), ("),", "")]
    if isinstance(layer, spec.Parallel):
        is_stack = any(is_of_sequences(branch, shape) for branch in layer.branches)
        parts = [line for branch in layer.branches for line in _sequential(branch, shape, is_stack)]
        if layer.join != "concat":
            parts.append((f"join={layer.join!r},", ""))
        return [("SequenceParallel(" if is_stack else "Parallel(", ""), *_inner(parts), ("),", "")]
    if isinstance(layer, spec.Skip):
        parts = _sequential(layer.layers, shape, is_stack=False)
        parts += [(f"first={layer.first!r},", "")] if layer.first != "input" else []
        return [("Skip(", ""), *_inner(parts), ("),", "")]
    if isinstance(layer, spec.WindowNorm):
        parts = _sequential(layer.layers, shape)
        parts += [(f"how={layer.how!r},", "")] if layer.how != "standardize" else []
        told = series.told_of(shape)
        parts += [(f"told={told!r},", "")] if told != (0,) else []
        return [("WindowNorm(", ""), *_inner(parts), ("),", "")]
    if isinstance(layer, spec.Repeat):
        kind = "Stack(" if is_of_sequences(layer.layers, shape) else "nn.Sequential("
        turns = []
        for _ in range(layer.times):
            turns.append(_sequential(layer.layers, shape))
            shape = _out(layer.layers, shape)
        if all(turn == turns[0] for turn in turns):
            once = [*turns[0][:-1], (")", "")]
            loop = [("*[", ""), *_inner([*once, (f"for _ in range({layer.times})", "")]), ("],", "")]
            return [(kind, ""), *_inner(loop), ("),", "")]
        return [(kind, ""), *_inner([line for turn in turns for line in turn]), ("),", "")]
    return None


def _inner(lines: Sequence[Line]) -> list[Line]:
    return [("    " + text, comment) for text, comment in lines]


def _out(layers: Sequence[Layer], shape: Shape) -> Shape:
    for layer in layers:
        shape = layer.out_shape(shape)
    return shape


def _projection(shape: Shape, out: Shape, kind: str) -> list[Line]:
    if len(shape) < 3:
        return [(f"shortcut={kind}(nn.Linear({shape[-1]}, {out[-1]}, bias=False)),", "")]
    stride = projection_stride(shape, out) or 1
    step = f", stride={stride}" if stride > 1 else ""
    return [
        (f"shortcut={kind}(", ""),
        (f"    nn.Conv2d({shape[0]}, {out[0]}, kernel_size=1{step}, bias=False),", show(out)),
        (f"    nn.BatchNorm2d({out[0]}),", show(out)),
        ("),", ""),
    ]


def _numbers(shape: Shape) -> str:
    return ", ".join(str(n) for n in shape)


def _call(layer: Layer, shape: Shape) -> str:
    name, arguments = _constructor(layer, shape)
    prefix = "" if name in definitions() else "nn."
    return f"{prefix}{name}({', '.join(arguments)})"


def _constructor(layer: Layer, shape: Shape) -> tuple[str, list[str]]:
    """The class and the arguments that differ from its defaults."""
    found = of_sequences(layer, shape)
    if found is not None:
        return found
    if isinstance(layer, convolution.Conv2d):
        given = [str(shape[0]), str(layer.out_channels), f"kernel_size={layer.kernel_size}"]
        return "Conv2d", given + list(changed(layer, "stride", "padding", "dilation", "groups", "bias"))
    if isinstance(layer, convolution.DepthwiseConv2d):
        n = shape[0]
        given = [str(n), str(n * layer.multiplier), f"kernel_size={layer.kernel_size}"]
        more = [*changed(layer, "stride", "padding", "dilation"), f"groups={n}", *changed(layer, "bias")]
        return "Conv2d", given + more
    if isinstance(layer, convolution.ConvTranspose2d):
        given = [str(shape[0]), str(layer.out_channels), f"kernel_size={layer.kernel_size}"]
        given.append(f"stride={layer.stride}")
        more = list(changed(layer, "padding", "output_padding", "groups", "bias", "dilation"))
        return "ConvTranspose2d", given + more
    if isinstance(layer, convolution.Upsample):
        return "Upsample", [f"scale_factor={layer.scale_factor}", *changed(layer, "mode")]
    if isinstance(layer, convolution.SqueezeExcitation):
        return "SqueezeExcitation", [str(shape[0]), str(layer.squeezed(shape[0]))]
    if isinstance(layer, pooling.MaxPool2d):
        return "MaxPool2d", [
            str(layer.kernel_size), *changed(layer, "stride", "padding", "dilation", "ceil_mode")
        ]  # fmt: skip
    if isinstance(layer, pooling.AvgPool2d):
        names = ("stride", "padding", "ceil_mode", "count_include_pad")
        return "AvgPool2d", [str(layer.kernel_size), *changed(layer, *names)]
    if isinstance(layer, pooling.AdaptivePool):
        return type(layer).__name__, [str(layer.output_size)]
    if isinstance(layer, pooling.GlobalPool):
        name = type(layer).__name__.replace("Global", "Adaptive")
        return "Sequential", [f"nn.{name}(1)", "nn.Flatten()"]
    if isinstance(layer, normalisation.BatchNorm):
        name = "BatchNorm2d" if len(shape) == 3 else "BatchNorm1d"
        return name, [str(shape[0]), *changed(layer, "eps", "momentum", "affine")]
    if isinstance(layer, normalisation.LayerNorm):
        size = f"[{_numbers(shape)}]" if len(shape) > 2 else str(shape[-1])
        return "LayerNorm", [size, *changed(layer, "eps", "elementwise_affine")]
    if isinstance(layer, normalisation.LayerNorm2d):
        return "LayerNorm2d", [str(shape[0]), f"eps={layer.eps}", *changed(layer, "elementwise_affine")]
    if isinstance(layer, normalisation.GroupNorm):
        return "GroupNorm", [str(layer.num_groups), str(shape[0]), *changed(layer, "eps", "affine")]
    if isinstance(layer, normalisation.InstanceNorm):
        return "InstanceNorm2d", [str(shape[0]), *changed(layer, "eps", "affine")]
    if isinstance(layer, normalisation.LayerScale):
        width = shape[-1] if len(shape) == 2 else shape[0]
        return "LayerScale", [str(width), *changed(layer, "init")]
    if isinstance(layer, latent.Unflatten):
        return "Unflatten", ["1", f"(-1, {layer.height}, {layer.width})"]
    if isinstance(layer, dense.Linear):
        return "Linear", [str(shape[-1]), str(layer.out_features), *changed(layer, "bias")]
    if isinstance(layer, activation.Softmax | activation.LogSoftmax | activation.GLU):
        return type(layer).__name__, ["dim=-1" if len(shape) == 2 else "dim=1"]
    if isinstance(layer, activation.PReLU):
        channels = [f"num_parameters={shape[0]}"] if layer.per_channel else []
        return "PReLU", [*channels, *changed(layer, "init")]
    if isinstance(layer, dense.Dropout | dense.Dropout2d | dense.AlphaDropout):
        return type(layer).__name__, [str(layer.p)]
    # The rest are named as in torch.nn, and their fields are torch's own with torch's defaults.
    return type(layer).__name__, list(changed(layer, *_own_fields(layer)))


def _own_fields(layer: Layer) -> list[str]:
    return [name for name in type(layer).model_fields if name != "kind"]
