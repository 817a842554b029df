"""A trained model with 8-bit weights, run by torch's own int8 kernels on a CPU.

static: convolutions and linear layers work on 8-bit numbers, whose ranges were seen on training samples; a
stretch of such layers stays in 8 bits throughout, its batch norms and ReLUs folded in. dynamic: linear layers
alone, each row's range taken as it comes. Linear layers are also the projections of attention and the
feed-forward parts behind it. Both: recurrent layers and embeddings keep 8-bit weights. Everything else (the
products within attention, norms) stays float. It is text and tensors only: no pickle, no traced graph, so
every model that `build` makes can be taken.

Notation: weights are symmetric per output channel, w = scale · q, q from -127 to 127; what flows is
u8: x = scale · (q - zero). Source: Jacob et al. 2018, https://arxiv.org/abs/1712.05877.
"""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from workbench.models.int8_layers import (
    WEIGHTY,
    DynamicLinear,
    Int8Conv1d,
    Int8Embedding,
    Int8Recurrent,
    Range,
    Stretch,
    eighth,
    range_of,
    rounded,
)
from workbench.models.sequence import Conv1d
from workbench.specs.errors import RunError

Kind = Literal["dynamic", "static"]
KINDS: tuple[Kind, ...] = ("dynamic", "static")
MARK = "int8/"  # tensors of 8-bit layers: int8/<path>/<part>
HEADROOM = 0.9999  # share of the calibration values that a range takes in; the rest is cut off
LOOKED_AT = 1 << 16  # values per batch that the range is told from


def _described(module: nn.Module) -> dict[str, Any] | None:
    """A layer that a stretch can hold, without its numbers; None for others. A kind of linear layer or
    convolution that does more than torch's (patches of an image made steps, say) is another layer."""
    if (
        _is_plain(module, nn.Conv2d)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    ):
        return {
            "kind": "conv2d", "stride": list(module.stride), "padding": list(module.padding),
            "dilation": list(module.dilation), "groups": module.groups, "relu": False,
        }  # fmt: skip
    if _is_plain(module, nn.Linear):
        return {"kind": "linear", "relu": False}
    if isinstance(module, nn.ReLU):
        return {"kind": "relu"}
    if isinstance(module, nn.Flatten) and module.start_dim == 1:
        return {"kind": "flatten"}
    if isinstance(module, nn.MaxPool2d) and not module.ceil_mode and module.dilation in (1, (1, 1)):
        return {"kind": "max_pool2d", "pool": [module.kernel_size, module.stride, module.padding]}
    if isinstance(module, nn.Sequential) and [type(m) for m in module] == [nn.AdaptiveAvgPool2d, nn.Flatten]:
        return {"kind": "global_avg_pool2d"} if module[0].output_size in (1, (1, 1)) else None
    return None


class _Plan:
    """A stretch to be: children `first` to `last` of a row, steps, and where each step's output is seen."""

    def __init__(self, row: str, first: int) -> None:
        self.row, self.first, self.last = row, first, first
        self.steps: list[dict[str, Any]] = []
        self.sources: list[list[nn.Module]] = []  # of each step: the layer, then the batch norm folded in
        self.seen_at: list[nn.Module] = []  # whose output is that of the step


def plans(model: nn.Module) -> list[_Plan]:
    """Every stretch of the model, from the shape of its rows alone: the same whenever it is built."""
    found: list[_Plan] = []
    taken: set[int] = set()
    for path, row in model.named_modules():
        if not isinstance(row, nn.Sequential):
            continue
        plan: _Plan | None = None
        for place, child in enumerate(row.children()):
            taken.add(id(child))
            plan = _grown(plan, path, place, child, found)
        _close(plan, found)
    for path, module in model.named_modules():  # linear layers within attention and the like
        if _is_plain(module, Conv1d) and module.groups == 1:
            found.append(_along_steps(path, module))
        elif isinstance(module, nn.Linear | nn.Conv2d) and id(module) not in taken and _described(module):
            plan = _grown(None, path, -1, module, found)
            _close(plan, found)
    return [plan for plan in found if any(step["kind"] in WEIGHTY for step in plan.steps)]


def _grown(plan: _Plan | None, row: str, place: int, child: nn.Module, found: list[_Plan]) -> _Plan | None:
    """The stretch with one more layer, or a new one, or none where the layer must stay float."""
    if plan is not None and isinstance(child, nn.Dropout | nn.Dropout2d | nn.Identity):
        plan.last = place
        return plan
    if plan is not None and isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
        last = plan.steps[-1]
        if last["kind"] in WEIGHTY and not last["relu"] and len(plan.sources[-1]) == 1:
            plan.sources[-1].append(child)
            plan.seen_at[-1], plan.last = child, place
            return plan
    step = _described(child)
    if step is None:
        _close(plan, found)
        return None
    if plan is None:
        if step["kind"] not in WEIGHTY:
            return None  # nothing is gained by beginning with it
        plan = _Plan(row, place)
    if step["kind"] == "relu" and plan.steps and plan.steps[-1].get("relu") is False:
        plan.steps[-1]["relu"] = True
    else:
        plan.steps.append(step)
        plan.sources.append([child])
        plan.seen_at.append(child)
    plan.seen_at[-1], plan.last = child, place
    return plan


def _along_steps(path: str, module: Conv1d) -> _Plan:
    """A convolution along steps: by itself, since the masks of texts stand between it and its neighbours."""
    plan = _Plan(path, -1)
    plan.steps, plan.sources, plan.seen_at = [{"kind": "conv1d", "relu": False}], [[module]], [module]
    return plan


def _close(plan: _Plan | None, found: list[_Plan]) -> None:
    if plan is not None:
        found.append(plan)


# ---------------------------------------------------------------- making and loading


def quantised(model: nn.Module, kind: Kind, batches: Iterable[Tensor] = ()) -> dict[str, Tensor]:
    """The tensors of `model`'s 8-bit variant; the model, in eval mode on the CPU, is left as it was.

    batches: inputs (B, ...) of training samples, from which static learns the ranges.
    Of two networks the one that is used, which `batches` are for; the other one's tensors stay as they are.
    Raises: RunError where the model has nothing to quantise, or no batch was given to static.
    """
    head = getattr(model, "product", "")
    if head:
        own = quantised(model.get_submodule(head), kind, batches)
        others = {
            n: t.detach().clone() for n, t in model.state_dict().items() if not n.startswith(f"{head}.")
        }
        return {_below(head, name): t for name, t in own.items()} | {
            f"model/{name}": t.contiguous() for name, t in others.items()
        }
    found: dict[str, Tensor] = {}
    done: list[str] = []
    if kind == "static":
        for plan, parts in _calibrated(model, batches):
            name = _name(plan)
            found |= {f"{MARK}{name}/{part}": tensor for part, tensor in parts.items()}
            done += _paths(model, plan)
    else:
        for path, module in model.named_modules():
            if _is_plain(module, nn.Linear):
                q, scale = eighth(module.weight)
                found |= {f"{MARK}{path}/q": q, f"{MARK}{path}/scale": scale}
                if module.bias is not None:
                    found[f"{MARK}{path}/bias"] = module.bias.detach().float().clone()
                done.append(path)
    for path, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            q, scale = eighth(module.weight)
            found |= {f"{MARK}{path}/q": q, f"{MARK}{path}/scale": scale}
            done.append(path)
        elif isinstance(module, nn.RNNBase):
            found |= {f"{MARK}{path}/{part}": tensor for part, tensor in rounded(module).items()}
            done.append(path)
    if not torch.backends.mkldnn.is_available():
        raise RunError.of(
            "int8", "torch's int8 kernels (oneDNN) must be there", "this build of torch has none",
            "Use another machine, or prune the model.",
        )  # fmt: skip
    if not found:
        needed = "linear or recurrent layers, or embeddings" if kind == "dynamic" else (
            "linear, convolutional or recurrent layers, or embeddings"
        )  # fmt: skip
        convolves = kind == "dynamic" and any(isinstance(m, nn.Conv2d | Conv1d) for m in model.modules())
        raise RunError.of(
            "int8", f"{kind} 8 bits need {needed}", "the model has none",
            "Use static, which takes its convolutions." if convolves else "Prune it instead.",
        )  # fmt: skip
    heads = tuple(f"{path}." for path in done)
    rest = {name: t for name, t in model.state_dict().items() if not name.startswith(heads)}
    return found | {f"model/{name}": tensor.detach().clone().contiguous() for name, tensor in rest.items()}


def _below(head: str, name: str) -> str:
    """The name of a tensor of a part, among those of the whole."""
    mark, _, path = name.partition("/")
    return f"{mark}/{head}.{path}"


def loaded(model: nn.Module, kind: Kind, tensors: Mapping[str, Tensor]) -> nn.Module:
    """`model`, freshly built, as the 8-bit variant that `quantised` gave; in eval mode, to be used on a CPU.

    Check: it gives the same scores in every process. Raises: RunError where the tensors are another model's.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(MARK):
            path, part = _split(name.removeprefix(MARK))
            parts.setdefault(path, {})[part] = tensor
    model.eval()
    if kind == "static":
        for plan in plans(model):
            if _name(plan) in parts:
                some, first = parts.pop(_name(plan)), plan.sources[0][0]
                small = Int8Conv1d(first, some) if isinstance(first, Conv1d) else Stretch(plan.steps, some)
                _place(model, plan, small)
    for path, some in parts.items():
        try:
            module = model.get_submodule(path)
        except AttributeError:
            raise _foreign(path) from None
        if isinstance(module, nn.Embedding):
            _set(model, path, Int8Embedding(some["q"], some["scale"]))
        elif isinstance(module, nn.Linear):
            _set(model, path, DynamicLinear(some))
        elif isinstance(module, nn.RNNBase):
            _set(model, path, Int8Recurrent(module, some))
        else:
            raise _foreign(path)
    rest = {n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")}
    own = model.state_dict()
    if any(name in own and own[name].shape != t.shape for name, t in rest.items()):
        raise _foreign("model")
    model.load_state_dict(rest, strict=False)
    return model


def _calibrated(model: nn.Module, batches: Iterable[Tensor]) -> list[tuple[_Plan, dict[str, Tensor]]]:
    wanted = plans(model)
    seen: dict[int, list[float]] = {}
    hooks = []
    for plan in wanted:
        first = plan.sources[0][0]
        key = -id(first)  # its input
        seen[key] = [0.0, 0.0]
        hooks.append(first.register_forward_pre_hook(_watch_input(seen[key])))
        for module in plan.seen_at:
            if id(module) not in seen:
                seen[id(module)] = [0.0, 0.0]
                hooks.append(module.register_forward_hook(_watch_output(seen[id(module)])))
    looked = 0
    try:
        with torch.inference_mode():
            for x in batches:
                model(x)
                looked += 1
    finally:
        for hook in hooks:
            hook.remove()
    if not looked:
        raise RunError.of(
            "int8", "static 8 bits are calibrated on training samples", "there are none", "Use dynamic."
        )
    return [(plan, _numbers(plan, seen)) for plan in wanted if _was_seen(plan, seen)]


def _was_seen(plan: _Plan, seen: Mapping[int, list[float]]) -> bool:
    low, high = seen[-id(plan.sources[0][0])]
    return high > low  # a layer that no sample reached keeps its floats


def _numbers(plan: _Plan, seen: Mapping[int, list[float]]) -> dict[str, Tensor]:
    parts = {"range": _kept(range_of(*seen[-id(plan.sources[0][0])]))}
    for i, (step, sources) in enumerate(zip(plan.steps, plan.sources, strict=True)):
        if step["kind"] not in WEIGHTY:
            continue
        weight, bias = _folded(sources)
        q, scale = eighth(weight)
        parts |= {f"{i}/q": q, f"{i}/scale": scale, f"{i}/range": _kept(range_of(*seen[id(plan.seen_at[i])]))}
        if bias is not None:
            parts[f"{i}/bias"] = bias
    return parts


def _folded(sources: list[Any]) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a layer, with the batch norm behind it in them."""
    layer = sources[0]
    weight = layer.weight.detach().float()
    bias = None if layer.bias is None else layer.bias.detach().float()
    for norm in sources[1:]:
        deviation = torch.sqrt(norm.running_var + norm.eps)
        gain = (1.0 if norm.weight is None else norm.weight.detach()) / deviation
        shift = torch.zeros_like(norm.running_mean) if norm.bias is None else norm.bias.detach()
        before = torch.zeros_like(norm.running_mean) if bias is None else bias
        weight = weight * gain.view(-1, *[1] * (weight.ndim - 1))
        bias = (before - norm.running_mean) * gain + shift
    return weight.contiguous(), None if bias is None else bias.contiguous()


def _kept(given: Range) -> Tensor:
    return torch.tensor(given, dtype=torch.float64)


def _watch_input(seen: list[float]) -> Any:
    return lambda module, given: _note(seen, given[0])


def _watch_output(seen: list[float]) -> Any:
    return lambda module, given, out: _note(seen, out)


def _note(seen: list[float], x: Tensor) -> None:
    flat = x.detach().float().reshape(-1)
    if len(flat) > LOOKED_AT:
        flat = flat[:: len(flat) // LOOKED_AT + 1]
    ends = torch.quantile(flat, torch.tensor([1 - HEADROOM, HEADROOM]))
    seen[0], seen[1] = min(seen[0], float(ends[0])), max(seen[1], float(ends[1]))


def _is_plain(module: Any, kind: Any) -> bool:
    """Whether it computes what torch's layer of that kind does."""
    return isinstance(module, kind) and type(module).forward is kind.forward


def _name(plan: _Plan) -> str:
    if plan.first < 0:
        return plan.row
    return f"{plan.row}.{plan.first}-{plan.last}".lstrip(".")


def _split(name: str) -> tuple[str, str]:
    """`<path>/<part>`; a part of a stretch has a number before it."""
    path, _, part = name.partition("/")
    return path, part


def _paths(model: nn.Module, plan: _Plan) -> list[str]:
    if plan.first < 0:
        return [plan.row]
    names = [name for name, _ in model.get_submodule(plan.row).named_children()]
    return [f"{plan.row}.{name}".lstrip(".") for name in names[plan.first : plan.last + 1]]


def _place(model: nn.Module, plan: _Plan, stretch: Stretch) -> None:
    """The stretch where its first layer was; nothing where the others were."""
    first, *others = _paths(model, plan)
    _set(model, first, stretch)
    for path in others:
        _set(model, path, nn.Identity())


def _set(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def _foreign(path: str) -> RunError:
    return RunError.of(
        "int8", "an 8-bit variant must belong to its run's model",
        f"it has `{path}`, which the model has not", "Make it again.",
    )  # fmt: skip
