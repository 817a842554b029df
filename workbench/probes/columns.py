"""The columns of a table from inside: rows whose attention is followed, and how much each column matters.

Notation: P probe rows, F features, R rows that columns are weighed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.probes.hooks import looking
from workbench.probes.texts import SHOWN, ProbeTexts, one_per_class
from workbench.records import Panel

ROWS = 512  # that columns are weighed on
MOST_COLUMNS = 200
SEED = 0


def probe_rows(data: Any, n: int) -> ProbeTexts:
    """n rows of the validation split, one per class and then second ones, whose steps are the columns."""
    split = data.validation if len(data.validation) else data.train
    y = np.asarray(split.y)
    rows = one_per_class(y, n) if y.ndim == 1 else np.arange(min(n, len(split)))
    names = data.encoder.features
    labels = [data.classes[int(y[row])] if y.ndim == 1 else "" for row in rows]
    items = [
        {"tokens": names, "target_tokens": None, "label": label, "text": split.text(int(row))[:SHOWN]}
        for row, label in zip(rows, labels, strict=True)
    ]
    return ProbeTexts(torch.from_numpy(np.array(split.x[rows])), items, [len(names)] * len(rows))


class ColumnImportance:
    """How much the loss rises when one column's cells are dealt out anew among the rows.

    Source: Breiman 2001, https://doi.org/10.1023/A:1010933404324; Fisher et al. 2019 for the name, model
    reliance. Columns that say the same as others seem to matter less.
    """

    def __init__(self, data: Any, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        split = data.validation if len(data.validation) else data.train
        n = len(split)
        rows = np.arange(min(ROWS, n)) * n // max(1, min(ROWS, n))
        self._x = torch.from_numpy(np.array(split.x[rows]))
        self._y = torch.from_numpy(np.array(np.asarray(split.y)[rows]))
        sources = data.encoder.sources
        self._columns = list(dict.fromkeys(sources))[:MOST_COLUMNS]
        self._places = [[k for k, own in enumerate(sources) if own == name] for name in self._columns]
        self._turn = torch.from_numpy(np.random.default_rng(SEED).permutation(len(rows)))
        self._loss = loss

    def look(self, model: nn.Module, step: int, epoch: float, time: float) -> Panel:
        """{"columns", "rises", "loss", "rows"}: by how much the loss rises without each column.

        Check: 0 for a column that the model does not read; the model and torch's random state are as before.
        """
        device = next(model.parameters()).device
        x, y, turn = (part.to(device) for part in (self._x, self._y, self._turn))
        with looking(model):
            base = self._loss(model(x).float(), y)
            rises = []
            for places in self._places:
                changed = x.clone()
                changed[:, places] = x[turn][:, places]
                rises.append(self._loss(model(changed).float(), y) - base)
            told = torch.stack([base, *rises]).cpu().tolist()
        found = {"columns": self._columns, "rises": told[1:], "loss": told[0], "rows": len(x)}
        return Panel("importance", step, epoch, time, found)
