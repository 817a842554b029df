"""A model as plain PyTorch code that a person would have written. Needs no torch to be generated."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.specs import layers as spec
from workbench.specs.base import Shape
from workbench.specs.layer import Layer, show
from workbench.specs.model import ModelSpec

HEAD = '''"""{title}

Input: (B, {shape}) float32. Output: (B, {n_classes}) scores, one per class; torch.nn.CrossEntropyLoss
takes them as they are. {parameters:,} parameters. Written by the workbench; needs PyTorch alone.
"""

import torch
from torch import nn


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


def pytorch_code(model: ModelSpec, shape: Shape, n_classes: int, title: str = "A network.") -> str:
    """A Python script that defines the model as `class Net(nn.Module)`, the shape after each layer beside it.

    shape: (C, H, W) of the input. Child i of `Net().layers` is layer i, so weights carry over by name.
    Check: run, it gives a module with `model.n_params(shape)` parameters, and with equal weights equal
    outputs to the one the workbench trains.
    Raises: SpecError at the first layer that cannot work.
    """
    model.out_shape(shape)
    rows, current = [], shape
    for layer in model.layers:
        after = layer.out_shape(current)
        rows.append((f"            {_call(layer, current)},", f"# {show(after)}"))
        current = after
    width = min(80, max((len(text) for text, _ in rows), default=0))
    lines = [f"{text.ljust(width)}  {comment}\n" for text, comment in rows]
    plain = "".join(c if c.isprintable() else " " for c in title)
    safe = plain.replace("\\", "/").replace('"', "'").strip() or "A network."
    head = HEAD.format(
        title=safe, shape=_numbers(shape), n_classes=n_classes, parameters=model.n_params(shape)
    )
    return head + "".join(lines) + TAIL.replace("{inputs}", _numbers(shape))


def _numbers(shape: Shape) -> str:
    return ", ".join(str(n) for n in shape)


def _call(layer: Layer, shape: Shape) -> str:
    name, arguments = _constructor(layer, shape)
    return f"nn.{name}({', '.join(arguments)})"


def _constructor(layer: Layer, shape: Shape) -> tuple[str, list[str]]:
    """The torch.nn class and the arguments that differ from its defaults."""
    if isinstance(layer, spec.Conv2d):
        given = [str(shape[0]), str(layer.out_channels), f"kernel_size={layer.kernel_size}"]
        return "Conv2d", given + list(_changed(layer, "stride", "padding", "dilation", "groups", "bias"))
    if isinstance(layer, spec.MaxPool2d | spec.AvgPool2d):
        name = "MaxPool2d" if isinstance(layer, spec.MaxPool2d) else "AvgPool2d"
        return name, [str(layer.kernel_size), *_changed(layer, "stride", "padding")]
    if isinstance(layer, spec.AdaptiveAvgPool2d):
        return "AdaptiveAvgPool2d", [str(layer.output_size)]
    if isinstance(layer, spec.BatchNorm):
        name = "BatchNorm2d" if len(shape) == 3 else "BatchNorm1d"
        return name, [str(shape[0]), *_changed(layer, "eps", "momentum", "affine")]
    if isinstance(layer, spec.LayerNorm):
        size = f"[{_numbers(shape)}]" if len(shape) > 1 else str(shape[0])
        return "LayerNorm", [size, *_changed(layer, "eps", "elementwise_affine")]
    if isinstance(layer, spec.GroupNorm):
        return "GroupNorm", [str(layer.num_groups), str(shape[0]), *_changed(layer, "eps", "affine")]
    if isinstance(layer, spec.InstanceNorm):
        return "InstanceNorm2d", [str(shape[0]), *_changed(layer, "eps", "affine")]
    if isinstance(layer, spec.Linear):
        return "Linear", [str(shape[0]), str(layer.out_features), *_changed(layer, "bias")]
    if isinstance(layer, spec.Softmax | spec.LogSoftmax):
        return type(layer).__name__, ["dim=1"]
    if isinstance(layer, spec.Dropout | spec.Dropout2d):
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
