"""The only file that touches torch hooks: outputs of chosen layers, and no trace afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from workbench.specs.errors import ProbeError

Name = int | str  # of a layer: its place in the stack, or the name of one inside a group ("3.layers.1")


@contextmanager
def outputs_of(model: nn.Module, layers: Sequence[Name]) -> Iterator[dict[Name, Tensor]]:
    """A dict that forward passes inside fill with the output of each layer, by its name as given.

    Layers are children named str(index), or modules by their full name. Hooks are gone at the end, also
    after an error.
    Raises: ProbeError when the model has no such layer.
    """
    modules = dict(model.named_modules())
    seen: dict[Name, Tensor] = {}
    handles = []
    try:
        for index in layers:
            if not str(index) or str(index) not in modules:
                raise ProbeError.of(
                    f"layer {index}",
                    f"the model's layers are 0 to {sum(1 for _ in model.children()) - 1}",
                    f"there is no layer {index}",
                    "Choose one of them.",
                )
            handles.append(modules[str(index)].register_forward_hook(_keeper(seen, index)))
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


def _keeper(seen: dict[Name, Tensor], index: Name) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(module: nn.Module, given: object, output: Tensor) -> None:
        seen[index] = output

    return keep
