"""The windows of a series whose inside is followed; their steps are named by their moments."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from workbench.probes.texts import ProbeTexts

LONG = 128  # steps, beyond which few windows are followed: maps grow with the square
FEW = 2


class ProbeWindows(ProbeTexts):
    """inputs (P, L, V) float32; items and lengths as those of texts, steps in the place of tokens."""

    @property
    def width(self) -> int:
        return int(self.inputs.shape[1])


def probe_windows(data: Any, n: int) -> ProbeWindows:
    """At most n windows, evenly over the validation split, or over training where there is none."""
    split = data.validation if len(data.validation) else data.train
    n = min(n if split.look_back <= LONG else FEW, len(split))
    chosen = [round(k * (len(split) - 1) / max(1, n - 1)) for k in range(n)]
    items = []
    for k, i in enumerate(chosen):
        at = int(split.index[i])
        steps = [data.label(row) for row in range(at - split.look_back, at)]
        items.append(
            {"tokens": steps, "target_tokens": None, "label": f"Window {k + 1}", "whole_name": True,
             "text": f"{steps[0]} to {steps[-1]}"}
        )  # fmt: skip
    inputs = torch.from_numpy(np.stack([split.seen(i) for i in chosen]))
    return ProbeWindows(inputs, items, [split.look_back] * n)
