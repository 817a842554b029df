"""What attention looks at, and what recurrent layers carry along: pictures of probe texts.

Notation: P probe texts, H heads, Lq steps that look, Lk steps that are looked at.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from workbench.probes.hooks import looking
from workbench.probes.tiles import scaled
from workbench.records import Tiles

MOST_LAYERS = 24  # of a deep network, from the input on
MOST_FEATURES = 64  # rows of a picture of states


def attention_layers(model: nn.Module) -> dict[str, Any]:
    """The model's layers that attend, by name, in order; of one inside another only the outer one."""
    found: dict[str, Any] = {}
    for name, module in model.named_modules():
        inner = any(name.startswith(f"{outer}.") for outer in found)
        weighs = hasattr(module, "attention_weights") and getattr(module, "mode", "attention") == "attention"
        if weighs and not inner:
            found[name] = module
    return dict(list(found.items())[:MOST_LAYERS])


def recurrent_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The model's recurrent layers by name, in order."""
    found = {
        name.removesuffix(".rnn"): module
        for name, module in model.named_modules()
        if isinstance(module, nn.RNNBase)
    }
    return dict(list(found.items())[:MOST_LAYERS])


def attention_of(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Weights (P, H, Lq, Lk) of every layer that attends, by name, for x as the engine feeds it; layers that
    attend in two ways give two: "decoder.1.self" and "decoder.1.cross".

    Check: each row sums to 1; the model's mode, gradients, hooks and torch's random state are as before.
    """
    if hasattr(model, "output_attentions"):  # a pretrained model tells them itself
        with looking(model):
            return dict(model.output_attentions(x))
    layers = attention_layers(model)
    found: dict[str, Tensor] = {}
    with looking(model):
        with _inputs_of(layers) as seen:
            model(x)
        for name, module in layers.items():
            weights = module.attention_weights(*seen[name])
            if isinstance(weights, Tensor):
                found[name] = weights
            elif len(weights) == 1:
                found[name] = next(iter(weights.values()))
            else:
                found |= {f"{name}.{kind}": part for kind, part in weights.items()}
    return found


def attention_tiles(
    model: nn.Module, x: Tensor, *, step: int = 0, epoch: float = 0.0, time: float | None = None
) -> list[Tiles]:
    """A stack of tiles per layer, (P * H, Lq, Lk): text by text, in groups of its heads; 0 is black and each
    tile's largest weight is white."""
    return [_tiles(name, weights, step, epoch, time) for name, weights in attention_of(model, x).items()]


def state_tiles(
    model: nn.Module, x: Tensor, *, step: int = 0, epoch: float = 0.0, time: float | None = None
) -> list[Tiles]:
    """What each recurrent layer gives at every step: a tile (features, L) per probe text, 0 in the middle."""
    layers = {name: dict(model.named_modules())[name] for name in recurrent_layers(model)}
    outputs: dict[str, Tensor] = {}
    handles = [module.register_forward_hook(_keeper(outputs, name)) for name, module in layers.items()]
    try:
        with looking(model):
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    found = []
    for name, out in outputs.items():
        if out.ndim != 3:
            continue
        shown = min(out.shape[2], MOST_FEATURES)
        picture = scaled(out[:, :, :shown].transpose(1, 2), signed=True)
        title = f"States of layer {name}"
        if shown < out.shape[2]:
            title += f" (the first {shown} of {out.shape[2]:,} features)"
        found.append(
            Tiles(
                f"states/{name}", step, epoch, clock.time() if time is None else time, picture.pixels,
                picture.lows, picture.highs, label="text", title=title, group=1, signed=True,
            )
        )  # fmt: skip
    return found


def _tiles(name: str, weights: Tensor, step: int, epoch: float, time: float | None) -> Tiles:
    heads = weights.shape[1]
    flat = weights.flatten(0, 1).float()
    most = flat.amax(dim=(1, 2)).clamp(min=1e-9)
    pixels = (flat / most[:, None, None] * 255).round().to(torch.uint8).cpu().numpy()
    highs = most.cpu().numpy()
    return Tiles(
        f"attention/{name}", step, epoch, clock.time() if time is None else time, pixels, 0 * highs, highs,
        label="head", title=f"Attention of layer {name}", group=heads,
    )  # fmt: skip


@contextmanager
def _inputs_of(layers: dict[str, Any]) -> Iterator[dict[str, Sequence[Any]]]:
    """A dict that a forward pass inside fills with what each layer was given; hooks are gone at the end."""
    seen: dict[str, Sequence[Any]] = {}

    def noting(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def note(module: nn.Module, given: tuple[Any, ...]) -> None:
            # A context changes on its way along the stack: it is kept as it was here.
            seen[name] = [part if isinstance(part, Tensor) else copy(part) for part in given]

        return note

    handles = [module.register_forward_pre_hook(noting(name)) for name, module in layers.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _keeper(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(module: nn.Module, given: object, output: Tensor) -> None:
        seen[name] = output

    return keep
