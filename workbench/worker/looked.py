"""Where a Vision Transformer looked in a picture: its class token's attention, by layers and through all."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from torch import Tensor

from workbench.engine.batches import normalised
from workbench.probes.attention import attention_of
from workbench.probes.patches import is_of_patches, rollout
from workbench.specs.inside import attends, patch_grid
from workbench.worker.trained import Trained


def looked(trained: Trained, pixels: np.ndarray) -> dict[str, Any] | None:
    """pixels (C, H, W) uint8 -> {"rows", "columns", "has_class", "layers": [{"name", "heads", "weights":
    base64 of uint8 (heads, rows, columns), 255 for `most`, "most"}], "whole": one such, of one head}.

    Looks the class token; without one, all patches together. "whole" is the way through all layers (Abnar &
    Zuidema 2020). None for a model that reads no patches or does not attend.
    """
    model = trained.row.spec.model
    patches = patch_grid(model, pixels.shape) if attends(model) else None
    if patches is None:
        return None
    x = normalised(pixels[None], trained.data.mean, trained.data.std)
    seen = {
        name: weights
        for name, weights in attention_of(trained.model, x).items()
        if is_of_patches(weights, patches, 1)
    }
    square = [weights for weights in seen.values() if weights.shape[2] == weights.shape[3]]
    if not square:
        return None
    n = patches[0] * patches[1]
    return {
        "rows": patches[0],
        "columns": patches[1],
        "has_class": square[0].shape[3] > n,
        "layers": [{"name": name, **_packed(weights[0], patches)} for name, weights in seen.items()],
        "whole": {"name": "whole", **_packed(rollout(square), patches)},
    }


def _packed(weights: Tensor, patches: tuple[int, int]) -> dict[str, Any]:
    """(H, L, L): the row of the class token over the patches; the mean over patches where there is none."""
    n = patches[0] * patches[1]
    before = weights.shape[2] - n
    row = weights[:, 0] if before or weights.shape[1] == 1 else weights.mean(dim=1)
    maps = row[:, before:].float().numpy()
    most = float(maps.max()) or 1.0
    levels = np.round(maps / most * 255).astype(np.uint8)
    return {"heads": len(maps), "most": most, "weights": base64.b64encode(levels.tobytes()).decode()}
