"""All probes of a run together: what to look at, on which images, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np
from torch import Tensor, nn

from workbench.probes.budget import Budget
from workbench.probes.chosen import one_per_class
from workbench.probes.convolutions import feature_maps, filters, watched
from workbench.records import Data, Panel, Record
from workbench.specs.model import ModelSpec
from workbench.specs.training import WatchSpec


class Watcher:
    """Filters of every convolution, and what each makes of the same few images, within a budget.

    Topics: "filters/<layer>", "maps/<layer>", and once the panel "probe" with the images themselves.
    """

    def __init__(
        self, model: ModelSpec, watch: WatchSpec, inputs: Tensor, pictures: np.ndarray, labels: Sequence[str]
    ) -> None:
        """inputs (P, C, H, W) normalised; pictures (P, h, w) or (P, h, w, 3) uint8; labels of length P."""
        self._layers = watched(model)
        self._watch = watch
        self._inputs = inputs
        self._panel: tuple[np.ndarray, list[str]] | None = (pictures, list(labels))
        self._budget = Budget(watch.budget, watch.interval)
        self._asked_s: float | None = None

    @classmethod
    def over(
        cls,
        model: ModelSpec,
        watch: WatchSpec,
        data: Data,
        prepare: Callable[[np.ndarray, np.ndarray, np.ndarray], Tensor],
    ) -> Watcher:
        """On the first validation image of each class, as many as `watch.probe_images` says.

        prepare: pixels (P, C, H, W) uint8, mean, std -> (P, C, H, W) float32, as the model is trained.
        """
        split = data.validation if len(data.validation.y) else data.train
        rows = one_per_class(np.asarray(split.y), watch.probe_images)
        pixels = np.ascontiguousarray(split.x[rows])
        pictures = pixels.transpose(0, 2, 3, 1) if pixels.shape[1] == 3 else pixels[:, 0]
        labels = [data.classes[k] for k in split.y[rows]]
        inputs = prepare(pixels, data.mean, data.std)
        return cls(model, watch, inputs, np.ascontiguousarray(pictures), labels)

    def due(self, active_s: float, spent_s: float) -> bool:
        """Whether the budget allows a look now, and there is something to look at."""
        if not self._layers or not (self._watch.filters or self._watch.feature_maps):
            return False
        if not self._budget.due(active_s, spent_s):
            return False
        self._asked_s = active_s
        return True

    def look(self, model: nn.Module, step: int, epoch: float, time: float) -> list[Record]:
        """One snapshot of everything followed. Leaves the model and torch's random state as they were."""
        began = perf_counter()
        found: list[Record] = []
        if self._panel is not None:
            pictures, labels = self._panel
            found.append(Panel("probe", step, epoch, time, {"labels": labels}, {"images": pictures}))
            self._panel = None
        if self._watch.filters:
            found += [filters(model, layer, step=step, epoch=epoch, time=time) for layer in self._layers]
        if self._watch.feature_maps and self._layers:
            weight = next(model.parameters())
            self._inputs = self._inputs.to(weight.device)
            found += feature_maps(model, self._layers, self._inputs, step=step, epoch=epoch, time=time)
        if self._asked_s is not None:  # the first look warms caches up and says little about the next
            self._budget.looked(self._asked_s, perf_counter() - began)
        return found
