"""Random changes of the training images, batch by batch, on the device they live on.

What is drawn depends on (seed, step, place of the change in the list) and on nothing else: not on
torch's global generator, so that dropout and weights fall as they would without, and not on the past,
so that a run resumed at any step sees what it would have seen. The few numbers an image needs are drawn
on the host and go to the device in one copy; nothing ever waits for the device.

Notation: B images, C channels, H rows, W columns, K classes. x (B, C, H, W) float, values 0..1 in, and
0..1 out. Coordinates are pixels from the centre of the image, x to the right and y down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, one_hot, pad

from workbench.specs.augment import (
    AUGMENTATIONS,
    Augmentation,
    Blur,
    Colour,
    Cutmix,
    Cutout,
    Flip,
    Mixup,
    Noise,
    Rotate,
    Scale,
    Shear,
    Shift,
)

GEOMETRIC = (Flip, Shift, Rotate, Scale, Shear)  # neighbours are done as one move: one loss of sharpness
GREY = (0.299, 0.587, 0.114)  # brightness of red, green and blue, ITU-R BT.601


class Augment:
    """The changes `ops`, in their order. Called with the batch of every step of a training."""

    def __init__(self, ops: Sequence[Augmentation], n_classes: int, seed: int) -> None:
        self.ops = tuple(ops)
        self.n_classes = n_classes
        self.seed = seed
        self.mixes = any(op.mixes for op in ops)
        self._generators: dict[torch.device, torch.Generator] = {}
        assert all(type(op) in AUGMENTATIONS.values() for op in ops)

    def __call__(self, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """x (B, C, H, W), y (B,) int64 -> x of the same shape and dtype; y, or (B, K) float32 where a
        change mixes labels. Each row of mixed labels sums to 1. y may be masks (B, H, W) int64: what moves
        pixels moves them alike.

        Check: with p = 0 everywhere, x comes back bit for bit; the same step gives the same bits.
        """
        if self.mixes:
            y = one_hot(y, self.n_classes).to(torch.float32)
        plans = [_plan(group, self.seed, step, tuple(x.shape)) for group in _grouped(self.ops)]
        plans = [plan for plan in plans if plan.active.any()]  # known here, so nothing is asked of the device
        with torch.no_grad():
            for plan, numbers in zip(plans, _moved(plans, x.device), strict=True):
                x, y = self._apply(plan, numbers, x, y, step)
        return x, y

    def _apply(self, plan: _Plan, numbers: Tensor, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """numbers (B, 1 + n) float32: whether each image is changed, and what its change needs."""
        active = numbers[:, 0].view(-1, 1, 1, 1) > 0.5
        values = numbers[:, 1:].to(x.dtype)
        op = plan.op
        if isinstance(op, Mixup | Cutmix):
            mask = rectangles(values[:, 2:], x) if isinstance(op, Cutmix) else None
            return _mixed(x, y, active, numbers[:, 1].long(), values[:, 1], mask)
        if plan.alone and isinstance(op, Flip):
            changed = x.flip(3 if op.axis == "horizontal" else 2)
            y = _with_masks(y, active, lambda m: m.flip(2 if op.axis == "horizontal" else 1))
        elif isinstance(op, GEOMETRIC):
            changed = moved(x, values.view(-1, 2, 3))
            y = _with_masks(y, active, lambda m: moved_masks(m, values.view(-1, 2, 3)))
        elif isinstance(op, Colour):
            changed = coloured(x, *values.unbind(1))
        elif isinstance(op, Blur):
            changed = blurred(x, values[:, 0], op.strength)
        elif isinstance(op, Noise):
            changed = (x + op.strength * self._noise(x, step, plan.at)).clamp_(0.0, 1.0)
        else:
            changed = torch.where(rectangles(values, x), x.mean((2, 3), keepdim=True), x)
        return torch.where(active, changed, x), y

    def _noise(self, x: Tensor, step: int, at: int) -> Tensor:
        """Standard normal, like x, from a generator of our own on x's device."""
        generator = self._generators.get(x.device)
        if generator is None:
            generator = self._generators[x.device] = torch.Generator(x.device)
        generator.manual_seed(
            int(np.random.SeedSequence([self.seed, step, at]).generate_state(1, np.uint64)[0])
        )
        return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)


# ---------------------------------------------------------------- what to do to each image, on the host


@dataclass(frozen=True)
class _Plan:
    """A change of a batch, or neighbouring moves as one. active (B,) bool; values (B, n) float64.

    op, at: the (first) change and its place in the list; alone: whether it stands for itself only.
    """

    op: Augmentation
    at: int
    alone: bool
    active: np.ndarray
    values: np.ndarray


Group = list[tuple[int, Augmentation]]


def _grouped(ops: Sequence[Augmentation]) -> list[Group]:
    """Neighbouring moves together, everything else alone; mirrors among themselves too, being exact."""
    groups: list[Group] = []
    for at, op in enumerate(ops):
        if isinstance(op, GEOMETRIC) and groups and isinstance(groups[-1][-1][1], GEOMETRIC):
            groups[-1].append((at, op))
        else:
            groups.append([(at, op)])
    out: list[Group] = []
    for group in groups:
        out += [[item] for item in group] if all(isinstance(op, Flip) for _, op in group) else [group]
    return out


def _plan(group: Group, seed: int, step: int, shape: tuple[int, ...]) -> _Plan:
    batch, _, height, width = shape
    first, op = group[0]
    if not isinstance(op, GEOMETRIC):
        rng = np.random.default_rng([seed, step, first])
        active = rng.random(batch) < op.p
        return _Plan(op, first, True, active, _draws(op, rng, active, shape))
    # Output pixel -> input pixel. The first change acts on the input, so its inverse is applied last.
    total = np.tile(np.eye(3), (batch, 1, 1))
    changed = np.zeros(batch, dtype=bool)
    for at, move in group:
        rng = np.random.default_rng([seed, step, at])
        active = rng.random(batch) < move.p
        inverse = _inverses(move, rng, batch, height, width)
        total = total @ np.where(active[:, None, None], inverse, np.eye(3))
        changed |= active
    return _Plan(op, first, len(group) == 1, changed, total[:, :2].reshape(batch, 6))


def _inverses(op: Augmentation, rng: np.random.Generator, batch: int, height: int, width: int) -> np.ndarray:
    """(B, 3, 3): where in the image before the change each pixel of the image after it comes from."""
    out = np.tile(np.eye(3), (batch, 1, 1))
    if isinstance(op, Flip):
        axis = 0 if op.axis == "horizontal" else 1
        out[:, axis, axis] = -1
        return out
    assert isinstance(op, Shift | Rotate | Scale | Shear)
    if isinstance(op, Shift):
        for axis, side in ((0, width), (1, height)):
            most = max(1, round(op.strength * side))  # whole pixels: a shift never blurs
            out[:, axis, 2] = rng.integers(-most, most, batch, endpoint=True)
    elif isinstance(op, Rotate):
        return rotations(rng.uniform(-op.strength, op.strength, batch))
    elif isinstance(op, Scale):
        factor = 1.0 / rng.uniform(1 - op.strength, 1 + op.strength, batch)
        out[:, 0, 0] = out[:, 1, 1] = factor
    else:
        out[:, 0, 1] = np.tan(np.deg2rad(rng.uniform(-op.strength, op.strength, batch)))
    return out


def rotations(degrees: np.ndarray) -> np.ndarray:
    """Matrices that turn an image counter-clockwise. Shapes: (B,) -> (B, 3, 3), output to input pixel."""
    angle = np.deg2rad(np.asarray(degrees, dtype=np.float64))
    out = np.tile(np.eye(3), (len(angle), 1, 1))
    out[:, 0, 0] = out[:, 1, 1] = np.cos(angle)
    out[:, 0, 1], out[:, 1, 0] = -np.sin(angle), np.sin(angle)
    return out


def _draws(
    op: Augmentation, rng: np.random.Generator, active: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """(B, n): what each image's change needs."""
    batch, _, height, width = shape
    if isinstance(op, Colour):
        return rng.uniform(1 - op.strength, 1 + op.strength, (batch, 3))
    if isinstance(op, Blur):
        return rng.uniform(0, op.strength, (batch, 1))
    if isinstance(op, Cutout):
        side = np.full(batch, max(1, round(op.strength * min(height, width))))
        return _boxes(rng, side, side, height, width)
    if isinstance(op, Mixup | Cutmix):
        other = rng.permutation(batch).astype(np.float64)
        keep = np.where(active, rng.beta(op.strength, op.strength, batch), 1.0)
        if isinstance(op, Mixup):
            return np.stack([other, keep], 1)
        share = np.sqrt(1 - keep)
        boxes = _boxes(rng, np.rint(share * height), np.rint(share * width), height, width)
        area = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
        return np.column_stack([other, 1 - area / (height * width), boxes])
    return np.empty((batch, 0))


def _boxes(
    rng: np.random.Generator, tall: np.ndarray, wide: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Rectangles about a pixel anywhere, cut off at the border. (B, 4): top, bottom, left, right."""
    edges = []
    for side, length in ((height, tall), (width, wide)):
        start = rng.integers(0, side, len(length)) - length // 2
        edges += [np.clip(start, 0, side), np.clip(start + length, 0, side)]
    return np.stack(edges, 1)


def _moved(plans: Sequence[_Plan], device: torch.device) -> list[Tensor]:
    """Each plan's (B, 1 + n) numbers on the device, in one copy that nobody waits for."""
    if not plans:
        return []
    blocks = [np.column_stack([plan.active, plan.values]) for plan in plans]
    flat = torch.from_numpy(np.concatenate(blocks, 1).astype(np.float32))
    if device.type == "cuda":
        flat = flat.pin_memory()
    return list(flat.to(device, non_blocking=True).split([block.shape[1] for block in blocks], 1))


# ---------------------------------------------------------------- the changes themselves, on the device


def moved(x: Tensor, matrices: Tensor) -> Tensor:
    """Pixels taken from elsewhere, bilinearly; beyond the border lies the edge.

    Shapes: x (B, C, H, W), matrices (B, 2, 3): output to input pixel -> (B, C, H, W).
    Check: whole shifts, mirrors and half turns equal NumPy's to 1e-5.
    """
    grid = _grid(x, matrices)
    return grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False).clamp_(0.0, 1.0)


def moved_masks(masks: Tensor, matrices: Tensor) -> Tensor:
    """The same for class numbers: the nearest pixel's. masks (B, H, W) int64 -> the same shape."""
    x = masks.unsqueeze(1).to(torch.float32)
    found = grid_sample(x, _grid(x, matrices), mode="nearest", padding_mode="border", align_corners=False)
    return found.squeeze(1).round().to(masks.dtype)


def _grid(x: Tensor, matrices: Tensor) -> Tensor:
    """Where each pixel of the output comes from, as grid_sample wants it: (B, H, W, 2)."""
    height, width = x.shape[2:]
    right = torch.arange(width, device=x.device, dtype=x.dtype) - (width - 1) / 2
    down = (torch.arange(height, device=x.device, dtype=x.dtype) - (height - 1) / 2).view(-1, 1)
    m = matrices[..., None, None]  # (B, 2, 3, 1, 1)
    places = m[:, :, 0] * right + m[:, :, 1] * down + m[:, :, 2]  # (B, 2, H, W), pixels from the centre
    return torch.stack([places[:, 0] * (2 / width), places[:, 1] * (2 / height)], 3)


def _with_masks(y: Tensor, active: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Masks (B, H, W) changed where their images are; labels (B,) and shares of them as they were."""
    return torch.where(active[:, 0], change(y), y) if y.ndim == 3 else y


def coloured(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Brightness, then contrast about the image's mean, then saturation. x (B, C, H, W); factors (B,)."""
    b, c, s = (factor.view(-1, 1, 1, 1) for factor in (brightness, contrast, saturation))
    x = (x * b).clamp_(0.0, 1.0)
    grey = _grey(x)
    x = torch.lerp(grey.mean((2, 3), keepdim=True).expand_as(x), x, c).clamp_(0.0, 1.0)
    if x.shape[1] == 3:
        x = torch.lerp(_grey(x).expand_as(x), x, s).clamp_(0.0, 1.0)
    return x


def _grey(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, H, W)"""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    r, g, b = GREY
    return r * x[:, :1] + g * x[:, 1:2] + b * x[:, 2:]


def blurred(x: Tensor, sigma: Tensor, most: float) -> Tensor:
    """A Gaussian of each image's own width; beyond the border lies the edge.

    Shapes: x (B, C, H, W), sigma (B,) in pixels, at most `most` -> (B, C, H, W). The weights reach three
    times `most` and sum to 1. Tap by tap: a grouped convolution would be many times slower on a CPU.
    """
    reach = math.ceil(3 * most)
    taps = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype) / sigma.clamp(min=0.05).view(-1, 1)
    weights = torch.softmax(taps.square().mul_(-0.5), 1).view(len(x), -1, 1, 1, 1)
    for axis, margins in ((2, (0, 0, reach, reach)), (3, (reach, reach, 0, 0))):
        side = x.shape[axis]
        wide = pad(x, margins, mode="replicate")
        x = wide.narrow(axis, 0, side) * weights[:, 0]
        for tap in range(1, 2 * reach + 1):
            x.addcmul_(wide.narrow(axis, tap, side), weights[:, tap])
    return x.clamp_(0.0, 1.0)


def rectangles(boxes: Tensor, x: Tensor) -> Tensor:
    """Where each image's box is. boxes (B, 4): top, bottom, left, right -> (B, 1, H, W) bool."""
    row = torch.arange(x.shape[2], device=x.device).view(1, 1, -1, 1)
    column = torch.arange(x.shape[3], device=x.device).view(1, 1, 1, -1)
    top, bottom, left, right = boxes.view(-1, 4, 1, 1, 1).unbind(1)
    return (row >= top) & (row < bottom) & (column >= left) & (column < right)


def _mixed(
    x: Tensor, y: Tensor, active: Tensor, other: Tensor, keep: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Each image with another of the batch. other (B,) int64; keep (B,): its own share; mask: where not."""
    theirs = x.index_select(0, other)
    share = keep.view(-1, 1, 1, 1)
    changed = share * x + (1 - share) * theirs if mask is None else torch.where(mask, theirs, x)
    own = keep.view(-1, 1).to(y.dtype)
    labels = own * y + (1 - own) * y.index_select(0, other)
    return torch.where(active, changed.clamp_(0.0, 1.0), x), torch.where(active.view(-1, 1), labels, y)
