"""Loss, hits and gradient norm of every step, left on the device until the next flush.

A step only appends references; stacking, counting hits and the one fetch happen at the flush. What
waits is bounded: scores are folded to counts, still on the device, when they grow too many.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.engine.task import Parted, Task
from workbench.records import Scalars

FOLD_BYTES = 16 * 2**20  # scores that may wait
FOLD_STEPS = 1024  # tensors that may wait


class Counted(NamedTuple):
    """Hits and how many there were, scalars () on the device, of a batch that several processes shared."""

    hits: Tensor
    count: Tensor


class Tally:
    """The steps since the last flush."""

    def __init__(self, task: Task, steps_per_epoch: int) -> None:
        self._task = task
        self._steps_per_epoch = steps_per_epoch
        self._losses: list[Tensor] = []
        self._norms: list[Tensor] = []
        self._scores: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._room = 1  # steps until the next fold; set from the first scores
        self._parts: list[Tensor] = []  # (P,) of each step, where the task names parts of its loss
        self._part_names = task.parts if isinstance(task, Parted) else ()
        self._folded: list[Tensor] = []  # (m, n) float32: losses, hits, norms, parts, of how many tokens
        self._sizes: list[int] = []
        self._rates: list[float] = []
        self._times: list[float] = []

    def __len__(self) -> int:
        return len(self._times)

    def add(
        self, loss: Tensor, norm: Tensor, scores: Tensor, y: Tensor, size: int, rate: float,
        parts: Tensor | None = None,
    ) -> None:  # fmt: skip
        """One step: scalars () on the device, scores (B, K), y (B,), B; of texts (B, L, K), (B, L); parts
        (P,) of the loss, as the task names them. Does not wait for the device."""
        if self._scores and scores.shape != self._scores[-1].shape:
            self._fold()
        if not self._scores:
            bytes_per_step = scores.numel() * scores.element_size()
            self._room = max(1, min(FOLD_STEPS, FOLD_BYTES // max(1, bytes_per_step)))
        self._losses.append(loss.detach())
        self._norms.append(norm)
        self._scores.append(scores.detach())
        self._labels.append(y)
        if parts is not None:
            self._parts.append(parts)
        self._sizes.append(size)
        self._rates.append(rate)
        self._times.append(time.time())
        if len(self._scores) >= self._room:
            self._fold()

    def add_counted(
        self, loss: Tensor, norm: Tensor, counted: Counted, size: int, rate: float,
        parts: Tensor | None = None,
    ) -> None:  # fmt: skip
        """The same of a step whose scores lie in several processes."""
        columns = (loss.detach(), counted.hits, norm, *(() if parts is None else parts), counted.count)
        self._folded.append(torch.stack([c.to(torch.float32) for c in columns]).unsqueeze(1))
        self._sizes.append(size)
        self._rates.append(rate)
        self._times.append(time.time())

    def drain(self, last_step: int) -> list[Scalars]:
        """The steps up to `last_step` as train/loss, train/accuracy (or what the task counts), grad_norm
        and lr. Empties the tally."""
        if not self._times:
            return []
        self._fold()
        folded = torch.cat(self._folded, dim=1).cpu().numpy().astype(np.float64)  # the fetch
        losses, hits, norms = folded[:3]
        first, end = 3, 3 + len(self._part_names)
        n = len(self._times)
        steps = np.arange(last_step - n + 1, last_step + 1, dtype=np.int64)
        epochs = steps / self._steps_per_epoch
        times = np.array(self._times)
        accuracy = hits / (np.maximum(folded[end], 1.0) if len(folded) > end else np.array(self._sizes))
        columns = {
            "train/loss": losses,
            f"train/{self._task.counted}": accuracy,
            "grad_norm": norms,
            "lr": np.array(self._rates),
        }
        parts = zip(self._part_names, folded[first:end], strict=True)
        columns |= {f"train/{name}": values for name, values in parts}
        self._folded, self._sizes, self._rates, self._times = [], [], [], []
        return [Scalars(key, steps, epochs, times, values) for key, values in columns.items()]

    @property
    def samples(self) -> int:
        """Samples seen since the last flush."""
        return sum(self._sizes)

    def _fold(self) -> None:
        if not self._scores:
            return
        labels = torch.stack(self._labels)
        hits = self._task.hits(torch.stack(self._scores), labels)  # (n,)
        columns = [torch.stack(self._losses), hits, torch.stack(self._norms)]
        columns += list(torch.stack(self._parts, dim=1)) if self._parts else []
        count = self._task.count(labels)
        if count is not None:
            columns.append(count)
        # float32 holds hits up to 2**24 exactly; losses and norms are float32 already.
        self._folded.append(torch.stack([c.to(torch.float32) for c in columns]))
        self._losses, self._norms, self._scores, self._labels, self._parts = [], [], [], [], []


class Points:
    """Single values by key, waiting for a flush; a key's values come out as one chunk."""

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[int, float, float, float]]] = {}

    def add(self, key: str, step: int, epoch: float, value: float) -> None:
        """A value seen now."""
        self._seen.setdefault(key, []).append((step, epoch, time.time(), value))

    def drain(self) -> list[Scalars]:
        found = []
        for key, rows in self._seen.items():
            steps, epochs, times, values = zip(*rows, strict=True)
            found.append(
                Scalars(
                    key,
                    np.array(steps, dtype=np.int64),
                    np.array(epochs, dtype=np.float64),
                    np.array(times, dtype=np.float64),
                    np.array(values, dtype=np.float64),
                )
            )
        self._seen = {}
        return found
