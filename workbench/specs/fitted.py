"""What brings the layers of a group to one shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.specs.base import Shape
from workbench.specs.convolution import Convolution
from workbench.specs.errors import Edit, LayerError, Path
from workbench.specs.layer import Layer
from workbench.specs.pooling import MaxPool2d, Pool
from workbench.specs.rows import Group

MAX_STRIDE = 16  # of a 1×1 convolution that is put around a group's layers


def projection_stride(shape: Shape, out: Shape) -> int | None:
    """The stride with which a 1×1 convolution brings (C, H, W) to the size of `out`; None: there is none."""
    if len(shape) != 3 or len(out) != 3:
        return None
    for stride in range(1, MAX_STRIDE + 1):
        if all((n - 1) // stride + 1 == m for n, m in zip(shape[1:], out[1:], strict=True)):
            return stride
    return None


def keeping_size(layers: Sequence[Layer], path: Path) -> tuple[tuple[Any, ...], tuple[Edit, ...]]:
    """The layers with every window padded so that stride 1 keeps the size, and the edits that do it."""
    changed: list[Layer] = []
    edits: list[Edit] = []
    for index, layer in enumerate(layers):
        fields: dict[str, Any] = {}
        if isinstance(layer, Convolution) and layer.reach % 2 and layer.padding != layer.reach // 2 <= 31:
            fields = {"padding": layer.reach // 2}
        elif isinstance(layer, Pool) and layer.kernel_size % 2 and layer.kernel_size > 1:
            fields = {"padding": layer.kernel_size // 2, "stride": 1}
            if isinstance(layer, MaxPool2d):
                fields["dilation"] = 1
            fields = {name: value for name, value in fields.items() if getattr(layer, name) != value}
        if fields:
            edits.append(Edit(action="set", path=(*path, index), fields=fields))
            layer = layer.model_copy(update=fields)
        changed.append(layer)
    return tuple(changed), tuple(edits)


def works(group: Group, shape: Shape) -> bool:
    """Whether the group takes `shape`."""
    try:
        group.whole(shape)
    except LayerError:
        return False
    return True
