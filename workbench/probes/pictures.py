"""What a model whose answer is an image gives for a few fixed inputs, look after look.

Each scene hands out panels: "masks", "reconstructions", "latent" (a map of codes) and "made" (images out of
fixed noise). Notation: P probe images, n points, B images, D numbers of a code. Modes, gradients and random
states are left as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.probes.hooks import looking, outputs_of
from workbench.records import Data, Panel
from workbench.specs.picture_tasks import GenerationTask
from workbench.specs.run import RunSpec

LARGEST_SIDE = 96  # pixels of a picture; larger ones are sent smaller
MOST_POINTS = 400  # of the map of codes
MADE = 24  # images out of noise
VOID = 255


class Scene(Protocol):
    """What is seen of a model's answers."""

    def look(self, model: nn.Module, inputs: Tensor, when: Mapping[str, Any]) -> list[Panel]:
        """Panels of one look. inputs (P, C, H, W): the probe images where the model is; when: step, epoch,
        time. Called in eval mode without gradients."""
        ...


def scene_of(spec: RunSpec, data: Data) -> Scene | None:
    """What can be seen of the answers of this run's model; None where they are no images."""
    if spec.task.kind == "segmentation":
        return Masks(data)
    if spec.task.kind == "reconstruction":
        return Codes(data, spec.seed)
    if isinstance(spec.task, GenerationTask):
        return Made(data, spec.task, spec.seed)
    return None


def seen(scene: Scene, model: nn.Module, inputs: Tensor, when: Mapping[str, Any]) -> list[Panel]:
    """The panels of one look."""
    with looking(model):
        return scene.look(model, inputs, when)


class Masks:
    """The class of every pixel of the probe images: panel "masks", arrays predicted (P, h, w) uint8."""

    def __init__(self, data: Data) -> None:
        self._classes = list(data.classes)

    def look(self, model: nn.Module, inputs: Tensor, when: Mapping[str, Any]) -> list[Panel]:
        told = model(inputs).argmax(dim=1).to(torch.uint8).cpu().numpy()
        return [Panel("masks", **when, data={"classes": self._classes}, arrays={"predicted": thinned(told)})]


class Codes:
    """What comes out beside what came in, and where the codes of images lie.

    Panels: "reconstructions" with arrays made (P, h, w) or (P, h, w, 3) uint8; "latent" with arrays points
    (n, 2) float32 and labels (n,) uint8, and data {"classes", "by", "explained"}; where codes are drawn also
    "made", images out of codes from the standard normal distribution, the same ones at each look.
    """

    def __init__(self, data: Data, seed: int) -> None:
        self._mean, self._std = np.asarray(data.mean), np.asarray(data.std)
        self._classes = list(data.classes)
        split = data.validation if len(data.validation) else data.train
        n = min(MOST_POINTS, len(split))
        rows = np.arange(n) * len(split) // max(1, n)
        self._pixels, self._labels = split.x[rows], np.asarray(split.y)[rows].astype(np.uint8)
        self._x: Tensor | None = None
        self._before: np.ndarray | None = None  # the points of the look before: axes keep their direction
        self._seed = seed

    def look(self, model: nn.Module, inputs: Tensor, when: Mapping[str, Any]) -> list[Panel]:
        made = shown(model(inputs), self._mean, self._std)
        found = [Panel("reconstructions", **when, data={}, arrays={"made": made})]
        name = narrowest(model, inputs)
        if name is not None:
            found.append(self._latent(model, name, inputs.device, when))
        place = drawn_at(model)
        if place is not None:
            size = codes_of(model, str(place), inputs[:1]).shape[1:]
            generator = torch.Generator().manual_seed(self._seed)
            noise = torch.randn((MADE, *size), generator=generator).to(inputs.device)
            out = after(model, place, noise)
            images = shown(out, self._mean, self._std)
            found.append(Panel("made", **when, data={"of": "prior"}, arrays={"images": images}))
        return found

    def _latent(self, model: nn.Module, name: str, device: torch.device, when: Mapping[str, Any]) -> Panel:
        if self._x is None:
            raw = torch.from_numpy(np.ascontiguousarray(self._pixels)).float() / 255.0
            mean, std = (torch.from_numpy(v).float().view(1, -1, 1, 1) for v in (self._mean, self._std))
            self._x = ((raw - mean) / std).to(device)
        codes = codes_of(model, name, self._x).flatten(1).float().cpu().numpy()
        points, by, explained = flat(codes, self._before)
        self._before = points
        told = {
            "classes": self._classes,
            "by": by,
            "explained": explained,
            "layer": name,
            "size": codes.shape[1],
        }
        return Panel("latent", **when, data=told, arrays={"points": points, "labels": self._labels})


class Made:
    """Images out of the same noise at each look: panel "made", array images (n, h, w) or (n, h, w, 3)."""

    def __init__(self, data: Data, task: GenerationTask, seed: int) -> None:
        self._mean, self._std = np.asarray(data.mean), np.asarray(data.std)
        generator = torch.Generator().manual_seed(seed)
        self._noise = torch.randn((task.samples, task.latent), generator=generator)

    def look(self, model: Any, inputs: Tensor, when: Mapping[str, Any]) -> list[Panel]:
        images = shown(model.generator(self._noise.to(inputs.device)), self._mean, self._std)
        return [Panel("made", **when, data={"of": "noise"}, arrays={"images": images})]


# ---------------------------------------------------------------- codes


def drawn_at(model: nn.Module) -> int | None:
    """The place of the layer that draws codes, among the model's own layers; None where there is none."""
    return next((i for i, child in enumerate(model.children()) if hasattr(child, "divergence")), None)


def after(model: nn.Module, place: int, codes: Tensor) -> Tensor:
    """What the layers behind `place` make of codes."""
    out = codes
    for layer in list(model.children())[place + 1 :]:
        out = layer(out)
    return out


def narrowest(model: nn.Module, x: Tensor) -> str | None:
    """The layer whose output holds the fewest numbers; the one that draws codes, where there is one."""
    place = drawn_at(model)
    if place is not None:
        return str(place)
    names = [name for name, _ in model.named_children()]
    with outputs_of(model, names) as outputs:
        model(x[:1])
    sizes = [(out[0].numel(), i) for i, out in enumerate(outputs[name] for name in names)]
    return names[min(sizes)[1]] if len(sizes) > 2 else None


def codes_of(model: nn.Module, name: str, x: Tensor) -> Tensor:
    """What layer `name` gives for x, image by image: (B, ...)."""
    with outputs_of(model, [name]) as outputs:
        model(x)
        return outputs[name]


def flat(codes: np.ndarray, before: np.ndarray | None = None) -> tuple[np.ndarray, str, float]:
    """Codes (n, D) in the plane: (n, 2) float32, how, and the share of their variance that is seen.

    Two numbers are shown as they are; more along their two principal axes, whose direction is that of the
    look before.
    """
    if codes.shape[1] <= 2:
        wide = np.pad(codes, ((0, 0), (0, 2 - codes.shape[1])))
        return wide.astype(np.float32), "own", 1.0
    centred = np.nan_to_num(codes - codes.mean(axis=0)).astype(np.float64)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    points = centred @ axes[:2].T
    if before is not None and before.shape == points.shape:
        signs = np.sign((points * before).sum(axis=0))
        points *= np.where(signs == 0, 1.0, signs)
    power = float((sizes**2).sum())
    return points.astype(np.float32), "pca", float((sizes[:2] ** 2).sum() / power) if power else 0.0


# ---------------------------------------------------------------- pictures


def shown(x: Tensor, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Images as the model gives them, (B, C, H, W), as pictures (B, h, w) or (B, h, w, 3) uint8."""
    scale, shift = (torch.from_numpy(v).float().view(1, -1, 1, 1).to(x.device) for v in (std, mean))
    pixels = torch.nan_to_num(x.float() * scale + shift).clamp(0.0, 1.0)
    longest = max(pixels.shape[2:])
    if longest > LARGEST_SIDE:
        to = [max(1, round(side * LARGEST_SIDE / longest)) for side in pixels.shape[2:]]
        pixels = F.adaptive_avg_pool2d(pixels, to)
    raw = pixels.mul(255.0).round().to(torch.uint8).cpu().numpy()
    if raw.shape[1] == 3:
        return np.ascontiguousarray(raw.transpose(0, 2, 3, 1))
    return np.ascontiguousarray(raw[:, 0])


def thinned(masks: np.ndarray) -> np.ndarray:
    """Masks (P, H, W) uint8 with no side above 96: every so many-th pixel."""
    step = -(-max(masks.shape[1:]) // LARGEST_SIDE)
    return np.ascontiguousarray(masks[:, step // 2 :: step, step // 2 :: step])
