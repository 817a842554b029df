"""Optimizers from specs, over one flat vector; their state goes out and in by parameter name.

Fused kernels are used wherever torch has them: one pass over memory, and the same bits every time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from workbench.engine.flat import Flat
from workbench.specs.errors import RunError
from workbench.specs.training import SGD, Adam, AdamW, AnyOptimizer, RMSprop


def optimizer_for(spec: AnyOptimizer, flat: Flat) -> torch.optim.Optimizer:
    """The torch optimizer of a spec, over `flat.weights`."""
    params = [flat.weights]
    if isinstance(spec, SGD):
        return torch.optim.SGD(
            params,
            lr=spec.lr,
            momentum=spec.momentum,
            nesterov=spec.nesterov,
            weight_decay=spec.weight_decay,
            fused=True,
        )
    if isinstance(spec, Adam):  # and AdamW, which is one
        kind = torch.optim.AdamW if isinstance(spec, AdamW) else torch.optim.Adam
        return kind(
            params,
            lr=spec.lr,
            betas=(spec.beta1, spec.beta2),
            eps=spec.eps,
            weight_decay=spec.weight_decay,
            fused=True,
        )
    assert isinstance(spec, RMSprop)
    return torch.optim.RMSprop(  # torch has no fused RMSprop
        params,
        lr=spec.lr,
        alpha=spec.alpha,
        momentum=spec.momentum,
        eps=spec.eps,
        weight_decay=spec.weight_decay,
    )


def slots(optimizer: torch.optim.Optimizer, flat: Flat) -> dict[str, Tensor]:
    """What the optimizer remembers: "exp_avg" (n,), "step" (), ... The tensors themselves, not copies."""
    state: Mapping[str, Any] = optimizer.state.get(flat.weights, {})
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def restore(optimizer: torch.optim.Optimizer, flat: Flat, saved: Mapping[str, Tensor]) -> None:
    """Takes back what `slots` gave, with vectors split by parameter name: "exp_avg/0.weight", "step".

    Raises: RunError when a parameter of the model is missing from a slot.
    """
    state: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in saved.items():
        slot, _, parameter = name.partition("/")
        if parameter:
            parts.setdefault(slot, {})[parameter] = tensor
        else:
            # Counters live beside the weights on a fused optimizer, on the CPU otherwise.
            fused = bool(optimizer.param_groups[0].get("fused"))
            state[slot] = tensor.to(flat.weights.device if fused else "cpu", copy=True)
    for slot, by_name in parts.items():
        if by_name.keys() != flat.spans.keys():
            raise RunError.of(
                "checkpoint",
                "the optimizer's state must cover the model's weights",
                f"`{slot}` covers others",
                "Start from the weights alone (fork).",
            )
        state[slot] = flat.join(by_name)
    if state:
        optimizer.state[flat.weights] = state
