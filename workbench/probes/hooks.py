"""The only file that touches torch hooks: outputs of chosen layers, and no trace afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

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
def before(
    model: nn.Module,
    layers: Sequence[str],
    take: Callable[[str, nn.Module, tuple[Any, ...], dict[str, Any]], None],
) -> Iterator[None]:
    """`take(name, module, args, kwargs)` is called before each forward of these modules."""
    modules = dict(model.named_modules())

    def hook(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        return lambda module, args, kwargs: take(name, module, args, kwargs)

    handles: list[Any] = []
    try:
        handles += [modules[n].register_forward_pre_hook(hook(n), with_kwargs=True) for n in layers]
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def asked_for_more(networks: Sequence[nn.Module], took: Callable[[Any], None]) -> Iterator[None]:
    """Networks of Hugging Face give their attention weights too, and `took` sees what they give.

    They can do so in plain ("eager") attention only; the way they attend is put back, also after an error,
    and the hooks that the library installs for it are taken out again.
    """
    configs = {id(network.config): network.config for network in networks}
    ways = {key: getattr(config, WAY, None) for key, config in configs.items()}
    modules = {module for network in networks for module in network.modules()}
    theirs = {module: set(module._forward_hooks) for module in modules}
    marked = {module for module in modules if MARK in vars(module)}
    handles = []
    try:
        for config in configs.values():
            setattr(config, WAY, "eager")
        for network in networks:
            handles.append(network.register_forward_pre_hook(_asking, with_kwargs=True))
            handles.append(network.register_forward_hook(lambda module, given, output: took(output)))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for key, config in configs.items():
            setattr(config, WAY, ways[key])
        for module in modules:
            for key in set(module._forward_hooks) - theirs[module]:
                del module._forward_hooks[key]
            if module not in marked:
                vars(module).pop(MARK, None)


WAY = "_attn_implementation"  # where a Hugging Face configuration says how it attends
MARK = "_output_capturing_hooks_installed"  # what it sets once its own hooks are there


def _asking(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, {**kwargs, "output_attentions": True}


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
