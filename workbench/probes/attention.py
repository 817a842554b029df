"""Where a model of sequences looks, and what it carries from step to step: attention maps and states.

Every module that attends gives its weights itself (`attention_weights` takes what its forward takes); they
are taken in one forward pass, so that what is shown is what the model did with these very inputs.
Notation: P probe texts, H heads, L steps (Lq that look, Lk looked at), D features.
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from workbench.probes.hooks import asked_for_more, before, looking, outputs_of
from workbench.probes.tiles import scaled, shrunk
from workbench.records import Tiles

MOST_LAYERS = 24  # of a deep network, from the input on: each costs a snapshot at every look
MOST_HEADS = 32  # of one layer
MOST_TILES = 384  # of one layer, all texts together
MOST_FEATURES = 256  # of a state
LARGEST_SIDE = 64  # steps of a map


class Seen(NamedTuple):
    """attention: layer -> (P, H, Lq, Lk), rows summing to 1; states: layer -> (P, L, D). In forward order."""

    attention: dict[str, Tensor]
    states: dict[str, Tensor]


def attention_of(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The weights (P, H, Lq, Lk) of every layer that attends, for inputs x as the model is trained on them.

    Layers are named as their modules are: "3", "3.0.1", "encoder.2"; of those that attend twice
    "decoder.1.self" and "decoder.1.cross"; of a pretrained network by their number, "0" to "11".
    Check: equal to the weights computed by hand, and to Hugging Face's `output_attentions`; the model's
    mode, gradients, hooks and torch's random state are as before.
    """
    return seen_in(model, x, states=False).attention


def seen_in(model: nn.Module, x: Tensor, *, attention: bool = True, states: bool = True) -> Seen:
    """Attention and states of one forward pass in eval mode, without gradients."""
    with ExitStack() as stack:
        stack.enter_context(looking(model))
        weights = stack.enter_context(_attention_in(model)) if attention else {}
        carried = stack.enter_context(outputs_of(model, recurrent(model) if states else []))
        model(x)
        return Seen(dict(weights), {str(name): output for name, output in carried.items()})


def attending(model: nn.Module) -> list[str]:
    """Names of the modules that attend, the outermost of each: a layer, not the attention in it."""
    found: list[str] = []
    for name, module in model.named_modules():
        if not hasattr(module, "attention_weights") or getattr(module, "mode", "attention") != "attention":
            continue  # pooling attends in one of its modes only
        if not any(name.startswith(f"{outer}.") for outer in found):
            found.append(name)
    return found


def recurrent(model: nn.Module) -> list[str]:
    """Names of the layers that carry a state: those that hold one of torch's recurrent modules."""
    inner = [name for name, module in model.named_modules() if _carries(module)]
    return [name.rpartition(".")[0] for name in inner if "." in name][:MOST_LAYERS]


def _carries(module: nn.Module) -> bool:
    """Whether it is one of torch's recurrent modules, or stands in the place of one."""
    return isinstance(module, nn.RNNBase) or getattr(module, "is_recurrent", False)


@contextmanager
def _attention_in(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """A dict that forward passes inside fill."""
    seen: dict[str, Tensor] = {}

    def take(name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if len(seen) >= MOST_LAYERS:
            return
        weights: Any = module.attention_weights(*args, **kwargs)
        if isinstance(weights, Tensor):
            weights = {"self": weights}
        single = set(weights) == {"self"}
        seen.update({name if single else f"{name}.{kind}": part for kind, part in weights.items()})

    def took(output: Any) -> None:
        maps = getattr(output, "attentions", None) or ()
        seen.update({str(i): part for i, part in enumerate(maps[:MOST_LAYERS])})

    with before(model, attending(model), take), asked_for_more(pretrained(model), took):
        yield seen


def pretrained(model: nn.Module) -> list[nn.Module]:
    """Networks of Hugging Face in the model: they give their weights with their output when asked."""
    return [module for module in model.modules() if hasattr(type(module), "set_attn_implementation")]


# ---------------------------------------------------------------- as tiles


def attention_tiles(
    layer: str,
    weights: Tensor,
    rows: Sequence[int] | None = None,
    columns: Sequence[int] | None = None,
    *,
    step: int = 0,
    epoch: float = 0.0,
    time: float | None = None,
) -> Tiles:
    """weights (P, H, Lq, Lk) -> a tile per head, text by text; 0 is no attention, 255 each tile's highest.

    rows, columns: how many steps of each text look and are looked at; what lies beyond is padding and is
    zero. At most 32 heads, fewer where 384 tiles in all would be passed; sides above 64 are averaged down.
    The title says so.
    """
    n_texts, n_heads = weights.shape[:2]
    shown = min(n_heads, MOST_HEADS, max(1, MOST_TILES // n_texts))
    maps = weights[:, :shown].float()
    maps = _only(maps, rows, 2)
    maps = _only(maps, columns, 3)
    flat = maps.reshape(-1, *maps.shape[2:])
    small = shrunk(flat, LARGEST_SIDE)
    title = f"Attention of layer {layer}"
    if shown < n_heads:
        title += f" (the first {shown} of {n_heads} heads)"
    if small.shape != flat.shape:
        title += f" (averaged down from {flat.shape[1]}×{flat.shape[2]})"
    found = scaled(small, from_zero=True)
    when = clock.time() if time is None else time
    return Tiles(f"attention/{layer}", step, epoch, when, *found, label="head", title=title, group=shown)


def state_tiles(
    layer: str,
    states: Tensor,
    steps: Sequence[int] | None = None,
    *,
    step: int = 0,
    epoch: float = 0.0,
    time: float | None = None,
) -> Tiles:
    """states (P, L, D) -> a tile (D, L) per text, zero in the middle of its range: a row per feature, a
    column per step. steps: of each text; what lies beyond is padding and is zero. At most 256 features."""
    maps = _only(states.float().unsqueeze(1), steps, 2).squeeze(1).transpose(1, 2)  # (P, D, L)
    shown = min(maps.shape[1], MOST_FEATURES)
    title = f"States of layer {layer}"
    if shown < maps.shape[1]:
        title += f" (the first {shown} of {maps.shape[1]:,} features)"
    found = scaled(maps[:, :shown], signed=True)
    when = clock.time() if time is None else time
    return Tiles(
        f"states/{layer}", step, epoch, when, *found, label="text", title=title, group=1, signed=True
    )


def _only(maps: Tensor, lengths: Sequence[int] | None, axis: int) -> Tensor:
    """Zero beyond each text's length along `axis`; as it is where that axis is shorter than the texts."""
    if lengths is None or max(lengths) > maps.shape[axis]:
        return maps
    places = torch.arange(maps.shape[axis], device=maps.device)
    there = places < torch.tensor(list(lengths), device=maps.device).unsqueeze(1)  # (P, L)
    shape = [len(maps), 1, 1, 1]
    shape[axis] = maps.shape[axis]
    return maps * there.view(shape)
