"""A model as plain PyTorch code that a person would have written. Needs no torch to be generated."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files

from workbench.export.pretrained import pretrained_code
from workbench.specs import activation, convolution, dense, normalisation, pooling
from workbench.specs import layers as spec
from workbench.specs.base import Shape, Tokens
from workbench.specs.layer import Layer, show
from workbench.specs.model import ModelSpec
from workbench.specs.pretrained import PretrainedText

HEAD = '''"""{title}

Input: (B, {shape}) float32. Output: (B, {n_classes}) scores, one per class; torch.nn.CrossEntropyLoss
takes them as they are. {parameters:,} parameters. Written by the workbench; needs PyTorch alone.
"""

import torch
from torch import nn

{blocks}
class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
'''

TAIL = """        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


if __name__ == "__main__":
    model = Net()
    # To use trained weights, exported from the workbench:
    #   from safetensors.torch import load_file
    #   model.layers.load_state_dict(load_file("weights.safetensors"))
    print(model)
    print(sum(p.numel() for p in model.parameters()), "parameters")
    print(tuple(model.eval()(torch.zeros(1, {inputs})).shape))
"""

Line = tuple[str, str]  # a line of code, and the comment beside it
AFTER = {"relu": "nn.ReLU()", "leaky_relu": "nn.LeakyReLU()", "gelu": "nn.GELU()", "silu": "nn.SiLU()"}


def pytorch_code(model: ModelSpec, shape: Shape, n_classes: int, title: str = "A network.") -> str:
    """A Python script that defines the model as `class Net(nn.Module)`, the shape after each layer beside it.

    shape: (C, H, W) of the input. Child i of `Net().layers` is layer i, so weights carry over by name.
    Blocks that torch.nn lacks are defined in the script, by the very source that the workbench trains.
    Check: run, it gives a module with `model.n_params(shape)` parameters, and with equal weights equal
    outputs to the one the workbench trains.
    Raises: SpecError at the first layer that cannot work.
    """
    model.out_shape(shape)
    if isinstance(shape, Tokens) and any(isinstance(layer, PretrainedText) for layer in model.layers):
        return pretrained_code(model, shape, _safe(title))
    rows = [
        (f"        {text}", f"# {comment}" if comment else "")
        for text, comment in _lines(model.layers, shape)
    ]
    width = min(80, max((len(text) for text, _ in rows), default=0))
    lines = [f"{text.ljust(width)}  {comment}".rstrip() + "\n" for text, comment in rows]
    body = "".join(lines)
    sources = "".join(f"\n{text}\n\n" for name, text in block_sources().items() if f" {name}(" in body)
    head = HEAD.format(
        title=_safe(title), shape=_numbers(shape), n_classes=n_classes, parameters=model.n_params(shape),
        blocks=sources,
    )  # fmt: skip
    return head + body + TAIL.replace("{inputs}", _numbers(shape))


def _safe(title: str) -> str:
    """A title that ends neither the docstring nor its line."""
    plain = "".join(c if c.isprintable() else " " for c in title)
    return plain.replace("\\", "/").replace('"', "'").strip() or "A network."


@cache
def block_sources() -> dict[str, str]:
    """The classes of `workbench/models/blocks.py` as text, by name: read, never imported (it needs torch)."""
    text = (files("workbench.models") / "blocks.py").read_text(encoding="utf-8")
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    return {node.name: ast.get_source_segment(text, node) or "" for node in classes}


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


def _sequential(layers: Sequence[Layer], shape: Shape) -> list[Line]:
    if not layers:
        return [("nn.Sequential(),", "")]
    return [("nn.Sequential(", ""), *_lines(layers, shape), ("),", "")]


def _group(layer: Layer, shape: Shape) -> list[Line] | None:
    """The lines of a group; None for any other layer."""
    if isinstance(layer, spec.Residual):
        parts = _sequential(layer.layers, shape)
        out = _out(layer.layers, shape)
        if layer.shortcut:
            around = _sequential(layer.shortcut, shape)
            parts += [(f"shortcut={around[0][0]}", around[0][1]), *around[1:]]
        elif out != shape:
            parts += _projection(shape, out)
        if layer.activation != "none":
            parts.append((f"activation={AFTER[layer.activation]},", ""))
        return [("Residual(", ""), *_inner(parts), ("),", "")]
    if isinstance(layer, spec.Parallel):
        parts = [line for branch in layer.branches for line in _sequential(branch, shape)]
        if layer.join != "concat":
            parts.append((f"join={layer.join!r},", ""))
        return [("Parallel(", ""), *_inner(parts), ("),", "")]
    if isinstance(layer, spec.Repeat):
        turns = []
        for _ in range(layer.times):
            turns.append(_sequential(layer.layers, shape))
            shape = _out(layer.layers, shape)
        if all(turn == turns[0] for turn in turns):
            once = [*turns[0][:-1], (")", "")]
            loop = [("*[", ""), *_inner([*once, (f"for _ in range({layer.times})", "")]), ("],", "")]
            return [("nn.Sequential(", ""), *_inner(loop), ("),", "")]
        return [("nn.Sequential(", ""), *_inner([line for turn in turns for line in turn]), ("),", "")]
    return None


def _inner(lines: Sequence[Line]) -> list[Line]:
    return [("    " + text, comment) for text, comment in lines]


def _out(layers: Sequence[Layer], shape: Shape) -> Shape:
    for layer in layers:
        shape = layer.out_shape(shape)
    return shape


def _projection(shape: Shape, out: Shape) -> list[Line]:
    if len(shape) == 1:
        return [(f"shortcut=nn.Sequential(nn.Linear({shape[0]}, {out[0]}, bias=False)),", "")]
    stride = spec.projection_stride(shape, out) or 1
    step = f", stride={stride}" if stride > 1 else ""
    return [
        ("shortcut=nn.Sequential(", ""),
        (f"    nn.Conv2d({shape[0]}, {out[0]}, kernel_size=1{step}, bias=False),", show(out)),
        (f"    nn.BatchNorm2d({out[0]}),", show(out)),
        ("),", ""),
    ]


def _numbers(shape: Shape) -> str:
    return ", ".join(str(n) for n in shape)


def _call(layer: Layer, shape: Shape) -> str:
    name, arguments = _constructor(layer, shape)
    prefix = "" if name in block_sources() else "nn."
    return f"{prefix}{name}({', '.join(arguments)})"


def _constructor(layer: Layer, shape: Shape) -> tuple[str, list[str]]:
    """The class and the arguments that differ from its defaults."""
    if isinstance(layer, convolution.Conv2d):
        given = [str(shape[0]), str(layer.out_channels), f"kernel_size={layer.kernel_size}"]
        return "Conv2d", given + list(_changed(layer, "stride", "padding", "dilation", "groups", "bias"))
    if isinstance(layer, convolution.DepthwiseConv2d):
        n = shape[0]
        given = [str(n), str(n * layer.multiplier), f"kernel_size={layer.kernel_size}"]
        more = [*_changed(layer, "stride", "padding", "dilation"), f"groups={n}", *_changed(layer, "bias")]
        return "Conv2d", given + more
    if isinstance(layer, convolution.ConvTranspose2d):
        given = [str(shape[0]), str(layer.out_channels), f"kernel_size={layer.kernel_size}"]
        given.append(f"stride={layer.stride}")
        more = list(_changed(layer, "padding", "output_padding", "groups", "bias", "dilation"))
        return "ConvTranspose2d", given + more
    if isinstance(layer, convolution.Upsample):
        return "Upsample", [f"scale_factor={layer.scale_factor}", *_changed(layer, "mode")]
    if isinstance(layer, convolution.SqueezeExcitation):
        return "SqueezeExcitation", [str(shape[0]), str(layer.squeezed(shape[0]))]
    if isinstance(layer, pooling.MaxPool2d):
        return "MaxPool2d", [
            str(layer.kernel_size), *_changed(layer, "stride", "padding", "dilation", "ceil_mode")
        ]  # fmt: skip
    if isinstance(layer, pooling.AvgPool2d):
        names = ("stride", "padding", "ceil_mode", "count_include_pad")
        return "AvgPool2d", [str(layer.kernel_size), *_changed(layer, *names)]
    if isinstance(layer, pooling.AdaptivePool):
        return type(layer).__name__, [str(layer.output_size)]
    if isinstance(layer, pooling.GlobalPool):
        name = type(layer).__name__.replace("Global", "Adaptive")
        return "Sequential", [f"nn.{name}(1)", "nn.Flatten()"]
    if isinstance(layer, normalisation.BatchNorm):
        name = "BatchNorm2d" if len(shape) == 3 else "BatchNorm1d"
        return name, [str(shape[0]), *_changed(layer, "eps", "momentum", "affine")]
    if isinstance(layer, normalisation.LayerNorm):
        size = f"[{_numbers(shape)}]" if len(shape) > 1 else str(shape[0])
        return "LayerNorm", [size, *_changed(layer, "eps", "elementwise_affine")]
    if isinstance(layer, normalisation.LayerNorm2d):
        return "LayerNorm2d", [str(shape[0]), f"eps={layer.eps}", *_changed(layer, "elementwise_affine")]
    if isinstance(layer, normalisation.GroupNorm):
        return "GroupNorm", [str(layer.num_groups), str(shape[0]), *_changed(layer, "eps", "affine")]
    if isinstance(layer, normalisation.InstanceNorm):
        return "InstanceNorm2d", [str(shape[0]), *_changed(layer, "eps", "affine")]
    if isinstance(layer, normalisation.LayerScale):
        return "LayerScale", [str(shape[0]), *_changed(layer, "init")]
    if isinstance(layer, dense.Linear):
        return "Linear", [str(shape[0]), str(layer.out_features), *_changed(layer, "bias")]
    if isinstance(layer, activation.Softmax | activation.LogSoftmax | activation.GLU):
        return type(layer).__name__, ["dim=1"]
    if isinstance(layer, activation.PReLU):
        channels = [f"num_parameters={shape[0]}"] if layer.per_channel else []
        return "PReLU", [*channels, *_changed(layer, "init")]
    if isinstance(layer, dense.Dropout | dense.Dropout2d | dense.AlphaDropout):
        return type(layer).__name__, [str(layer.p)]
    # The rest are named as in torch.nn, and their fields are torch's own with torch's defaults.
    return type(layer).__name__, list(_changed(layer, *_own_fields(layer)))


def _own_fields(layer: Layer) -> list[str]:
    return [name for name in type(layer).model_fields if name != "kind"]


def _changed(layer: Layer, *names: str) -> Iterator[str]:
    for name in names:
        value = getattr(layer, name)
        if value != type(layer).model_fields[name].default:
            yield f"{name}={value!r}"
