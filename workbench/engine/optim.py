"""Optimizers from specs, over one flat vector; their state goes out and in by parameter name.

Fused kernels are used wherever torch has them: one pass over memory, and the same bits every time.
With frozen layers the optimizer works on the stretches of the vector between them, and never sees the
rest: no weight decay, no momentum, no counting of steps there. Where parameters learn at different rates,
each rate has a group of stretches of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from workbench.engine.flat import Flat
from workbench.specs.errors import RunError
from workbench.specs.optimizers import SGD, Adam, AdamW, AnyOptimizer, RMSprop


def torchs(spec: AnyOptimizer, params: Sequence[Any]) -> torch.optim.Optimizer:
    """The torch optimizer of a spec. params: parameters, or groups of them as torch has them."""
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


@dataclass
class Memory:
    """What an optimizer remembers. vectors: slot → (n,), laid out like the weights; counts: slot →
    parameter name → scalar (), such as the updates that Adam has made to it."""

    vectors: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, dict[str, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Stretch:
    """Neighbouring parameters that are updated together: numbers start to stop of the vector."""

    names: tuple[str, ...]
    start: int
    stop: int
    parameter: nn.Parameter


class _Groups(dict[str, Any]):
    """The settings of several groups as one: what is set here is set in each, lr at each one's share."""

    def __init__(self, groups: Sequence[dict[str, Any]], shares: Sequence[float]) -> None:
        super().__init__(groups[0])
        self._groups, self._shares = groups, shares
        self["lr"] = groups[0]["lr"]

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        for group, share in zip(self._groups, self._shares, strict=True):
            group[name] = value * share if name == "lr" else value


class Updates:
    """The optimizer of a run. torch: the object that steps; group: its settings, lr among them.

    Check: what is frozen keeps its bits, in weights and state; without frozen layers there is one
    parameter, the whole vector.
    """

    def __init__(self, spec: AnyOptimizer, flat: Flat) -> None:
        self.flat = flat
        self.frozen: frozenset[str] = frozenset()
        self._kept = Memory()  # of frozen parameters
        self._build(spec, Memory())

    def freeze(self, names: Collection[str], spec: AnyOptimizer) -> None:
        """From now on exactly the parameters `names` stay as they are; the others go on as they were."""
        memory = self.memory()
        self.frozen = frozenset(names)
        self._build(spec, memory)

    @contextmanager
    def only(self, turn: int) -> Iterator[list[Tensor]]:
        """Inside, those of the other turns have no gradient, so that a step leaves them and their state as
        they are; gives the gradients of this turn."""
        mine: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for stretch in self._stretches:
            is_mine = self.flat.turns.get(stretch.names[0], 0) == turn
            (mine if is_mine else others).append(stretch.parameter)
        kept = [parameter.grad for parameter in others]
        for parameter in others:
            parameter.grad = None
        try:
            yield [parameter.grad for parameter in mine if parameter.grad is not None]
        finally:
            for parameter, grad in zip(others, kept, strict=True):
                parameter.grad = grad

    def shrink(self, l1: float) -> None:
        """Adds the gradient of l1 · Σ|w| to that of every parameter that learns now; 0 at 0."""
        for stretch in self._stretches:
            grad = stretch.parameter.grad
            if grad is None:  # it is another's turn
                continue
            grad.add_(stretch.parameter.detach().sign(), alpha=l1)

    def memory(self) -> Memory:
        """Of all parameters, frozen ones too. The tensors themselves where possible, not copies."""
        if len(self._stretches) == 1 and len(self._stretches[0].names) == len(self.flat.spans):
            found = Memory()
        else:
            vectors = {slot: vector.clone() for slot, vector in self._kept.vectors.items()}
            found = Memory(vectors, {slot: dict(by_name) for slot, by_name in self._kept.counts.items()})
        for stretch in self._stretches:
            state: Mapping[str, Any] = self.torch.state.get(stretch.parameter, {})
            for slot, value in state.items():
                if not isinstance(value, Tensor):
                    continue
                if value.shape != stretch.parameter.shape:
                    found.counts.setdefault(slot, {}).update(dict.fromkeys(stretch.names, value))
                elif stretch.parameter is self.flat.weights:
                    found.vectors[slot] = value
                else:
                    vector = found.vectors.setdefault(slot, torch.zeros_like(self.flat.grad))
                    vector[stretch.start : stretch.stop].copy_(value)
        for by_name in found.counts.values():  # what was frozen from the start has never been updated
            some = next(iter(by_name.values()))
            for name in self.flat.spans:
                by_name.setdefault(name, torch.zeros_like(some))
        return found

    def tensors(self) -> dict[str, Tensor]:
        """A copy of the memory on the CPU, by name: "exp_avg/0.weight", "step"; "step/0.weight" where
        parameters differ in it."""
        memory = self.memory()
        found: dict[str, Tensor] = {}
        for slot, vector in memory.vectors.items():
            parts = self.flat.split(vector.detach().to("cpu", copy=True))  # one transfer
            found |= {f"{slot}/{name}": part for name, part in parts.items()}
        for slot, by_name in memory.counts.items():
            fetched = {id(value): value.to("cpu", copy=True) for value in by_name.values()}
            if len({float(value) for value in fetched.values()}) == 1:
                found[slot] = next(iter(fetched.values()))
            else:
                found |= {f"{slot}/{name}": fetched[id(value)].clone() for name, value in by_name.items()}
        return found

    def restore(self, saved: Mapping[str, Tensor], spec: AnyOptimizer) -> None:
        """Takes back what `tensors` gave. Raises: RunError when a parameter is missing from a slot."""
        memory = Memory()
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in saved.items():
            slot, _, parameter = name.partition("/")
            if parameter:
                parts.setdefault(slot, {})[parameter] = tensor
            else:
                memory.counts[slot] = dict.fromkeys(self.flat.spans, tensor)
        spans = self.flat.spans
        for slot, by_name in parts.items():
            if by_name.keys() != spans.keys():
                raise RunError.of(
                    "checkpoint",
                    "the optimizer's state must cover the model's weights",
                    f"`{slot}` covers others",
                    "Start from the weights alone (fork).",
                )
            if any(tensor.shape != spans[name].shape for name, tensor in by_name.items()):
                memory.counts[slot] = by_name
            else:
                memory.vectors[slot] = self.flat.join(by_name)
        self._build(spec, memory)

    def _build(self, spec: AnyOptimizer, memory: Memory) -> None:
        self._stretches = self._cut(memory)
        by_share: dict[float, list[nn.Parameter]] = {}
        for stretch in self._stretches:
            share = self.flat.rates.get(stretch.names[0], 1.0)
            by_share.setdefault(share, []).append(stretch.parameter)
        if by_share.keys() <= {1.0}:
            self.torch = torchs(spec, [stretch.parameter for stretch in self._stretches])
            self.group: dict[str, Any] = self.torch.param_groups[0]
        else:
            self.torch = torchs(spec, [{"params": some} for some in by_share.values()])
            self.group = _Groups(self.torch.param_groups, list(by_share))
        # Counters live beside the weights on a fused optimizer, on the CPU otherwise.
        home = self.flat.weights.device if self.group.get("fused") else torch.device("cpu")
        for stretch in self._stretches:
            whole = stretch.parameter is self.flat.weights
            state = {
                slot: vector if whole else vector[stretch.start : stretch.stop].clone()
                for slot, vector in memory.vectors.items()
            }
            for slot, by_name in memory.counts.items():
                state[slot] = by_name[stretch.names[0]].to(home, copy=True)
            if isinstance(spec, SGD) and spec.momentum and not state:
                # Left to itself, torch 2.13's fused SGD takes uninitialised memory for momentum when fp16
                # overflows in the first step. Zeros give the same first step.
                state["momentum_buffer"] = torch.zeros_like(stretch.parameter)
            if state:
                self.torch.state[stretch.parameter] = state
        self._kept = memory if self.frozen else Memory()

    def _cut(self, memory: Memory) -> list[_Stretch]:
        """Runs of neighbours that are not frozen, learn at one rate in one turn, and whose counters agree. A
        pure function of the state, so that a resumed run is cut, and rounds, as the uninterrupted one."""
        runs: list[tuple[list[str], int, int]] = []
        ends = [*[span.start for span in self.flat.spans.values()][1:], len(self.flat.grad)]
        before: tuple[float, ...] | None = None  # marks of the neighbour before; None where frozen
        for (name, span), end in zip(self.flat.spans.items(), ends, strict=True):
            counts = (float(by_name[name]) for by_name in memory.counts.values())
            marks = (self.flat.rates.get(name, 1.0), self.flat.turns.get(name, 0), *counts)
            if name in self.frozen:
                before = None
            elif before is not None and marks == before:
                names, start, _ = runs[-1]
                runs[-1] = [*names, name], start, end
            else:
                runs.append(([name], span.start, end))
                before = marks
        return [_Stretch(tuple(names), start, stop, self._part(start, stop)) for names, start, stop in runs]

    def _part(self, start: int, stop: int) -> nn.Parameter:
        flat = self.flat
        if stop - start == len(flat.grad):
            return flat.weights
        part = nn.Parameter(flat.weights.detach()[start:stop])
        part.grad = flat.grad[start:stop]
        return part
