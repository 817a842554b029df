"""The only file that touches torch hooks: outputs of chosen layers, and no trace afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from workbench.specs.errors import ProbeError


@contextmanager
def outputs_of(model: nn.Module, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """A dict that forward passes inside fill with the output of each layer, by its index.

    Layers are children named str(index). Hooks are gone at the end, also after an error.
    Raises: ProbeError when the model has no such layer.
    """
    children = dict(model.named_children())
    seen: dict[int, Tensor] = {}
    handles = []
    try:
        for index in layers:
            if str(index) not in children:
                raise ProbeError.of(
                    f"layer {index}",
                    f"the model's layers are 0 to {len(children) - 1}",
                    f"there is no layer {index}",
                    "Choose one of them.",
                )
            handles.append(children[str(index)].register_forward_hook(_keeper(seen, index)))
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def looking(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside; the mode of every module is put back, also after an error."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def _keeper(seen: dict[int, Tensor], index: int) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(module: nn.Module, given: object, output: Tensor) -> None:
        seen[index] = output

    return keep
