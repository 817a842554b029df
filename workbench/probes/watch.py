"""All probes of a run together: what to look at, on which images or texts, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
from torch import Tensor, nn

from workbench.probes.attention import attention_tiles, seen_in, state_tiles
from workbench.probes.budget import Budget
from workbench.probes.columns import ColumnImportance, probe_rows
from workbench.probes.convolutions import feature_maps, filters, watched
from workbench.probes.patches import grid_of, is_of_patches, patch_tiles
from workbench.probes.pictures import Scene, seen, thinned
from workbench.probes.texts import ProbeTexts, one_per_class, probe_texts
from workbench.probes.windows import probe_windows
from workbench.records import Data, Panel, Record
from workbench.specs.inside import attends, patch_grid, recurs
from workbench.specs.model import ModelSpec
from workbench.specs.training import WatchSpec


class Watcher:
    """Filters of every convolution, what each makes of the same few images, where every head looks in the
    same few texts, and the states that recurrent layers carry over them; within a budget.

    Topics: "filters/<layer>", "maps/<layer>", "attention/<layer>", "states/<layer>", and once the panel
    "probe" with the images or texts themselves.
    """

    def __init__(
        self,
        model: ModelSpec,
        watch: WatchSpec,
        inputs: Tensor,
        data: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
        texts: ProbeTexts | None = None,
        patches: tuple[int, int] | None = None,
        columns: ColumnImportance | None = None,
        scene: Scene | None = None,
    ) -> None:
        """inputs: P samples as the model is trained on them; data, arrays: what the panel "probe" tells;
        patches: rows and columns of those that images are cut into; scene: what is seen of answers that are
        images."""
        self._layers = watched(model) if texts is None else []
        self._attention = watch.attention and attends(model)
        self._states = watch.attention and recurs(model)
        self._watch = watch
        self._inputs = inputs
        self._texts = texts
        self._patches = patches
        self._columns = columns
        self._scene = scene
        self._panel: tuple[Mapping[str, Any], Mapping[str, np.ndarray]] | None = (data, arrays or {})
        self._budget = Budget(watch.budget, watch.interval)
        self._asked_s: float | None = None

    @classmethod
    def over(
        cls,
        model: ModelSpec,
        watch: WatchSpec,
        data: Data,
        prepare: Callable[[np.ndarray, np.ndarray, np.ndarray], Tensor],
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        scene: Scene | None = None,
    ) -> Watcher:
        """On the first validation sample of each class, as many as `watch.probe_images` says; of texts
        without classes on the first ones.

        prepare: pixels (P, C, H, W) uint8, mean, std -> (P, C, H, W) float32, as the model is trained. loss:
        of scores and labels; of tables, whose columns are weighed by it.
        """
        if data.kind == "table":
            texts = probe_rows(data, watch.probe_images)
            told: dict[str, Any] = {"kind": "text", "items": texts.items, "width": texts.width}
            columns = ColumnImportance(data, loss) if loss is not None else None
            return cls(model, watch, texts.inputs, told, texts=texts, columns=columns)
        if data.kind == "text":
            texts = probe_texts(data, model, watch.probe_images)
            told = {"kind": "text", "items": texts.items, "width": texts.width}
            return cls(model, watch, texts.inputs, told, texts=texts)
        if data.kind == "series":
            windows = probe_windows(data, watch.probe_images)
            told = {"kind": "text", "items": windows.items, "width": windows.width}
            return cls(model, watch, windows.inputs, told, texts=windows)
        split = data.validation if len(data.validation.y) else data.train
        rows = one_per_class(np.asarray(split.y), watch.probe_images)
        pixels = np.ascontiguousarray(split.x[rows])
        pictures = pixels.transpose(0, 2, 3, 1) if pixels.shape[1] == 3 else pixels[:, 0]
        labels = (
            [data.classes[k] for k in split.y[rows]]
            if data.classes
            else [f"picture {i + 1}" for i in range(len(rows))]
        )
        inputs = prepare(pixels, data.mean, data.std)
        patches = patch_grid(model, tuple(pixels.shape[1:])) if watch.attention else None
        told = {"labels": labels}
        if patches is not None:
            told["patches"] = grid_of(patches)._asdict()
        arrays = {"images": np.ascontiguousarray(pictures)}
        masks: Any = getattr(split, "masks", None)
        if masks is not None:
            arrays["truth"] = thinned(masks[rows])
            told["classes"] = list(data.classes)
        return cls(model, watch, inputs, told, arrays, patches=patches, scene=scene)

    def due(self, active_s: float, spent_s: float) -> bool:
        """Whether the budget allows a look now, and there is something to look at."""
        pictures = bool(self._layers) and (self._watch.filters or self._watch.feature_maps)
        if not (pictures or self._attention or self._states or self._columns or self._scene is not None):
            return False
        if not self._budget.due(active_s, spent_s):
            return False
        self._asked_s = active_s
        return True

    def look(self, model: nn.Module, step: int, epoch: float, time: float) -> list[Record]:
        """One snapshot of everything followed. Leaves the model and torch's random state as they were."""
        began = perf_counter()
        when: dict[str, Any] = {"step": step, "epoch": epoch, "time": time}
        found: list[Record] = []
        if self._panel is not None:
            data, arrays = self._panel
            found.append(Panel("probe", step, epoch, time, data, arrays))
            self._panel = None
        if self._watch.filters:
            found += [filters(model, layer, **when) for layer in self._layers]
        if self._watch.feature_maps and self._layers:
            found += feature_maps(model, self._layers, self._near(model), **when)
        if self._columns is not None:
            found.append(self._columns.look(model, **when))
        if self._attention or self._states:
            found += self._sequences(model, when)
        if self._scene is not None:
            found += seen(self._scene, model, self._near(model), when)
        if self._asked_s is not None:  # the first look warms caches up and says little about the next
            self._budget.looked(self._asked_s, perf_counter() - began)
        return found

    def _sequences(self, model: nn.Module, when: Mapping[str, Any]) -> list[Record]:
        seen = seen_in(model, self._near(model), attention=self._attention, states=self._states)
        found: list[Record] = []
        for layer, weights in seen.attention.items():
            if self._patches is not None and is_of_patches(weights, self._patches, len(self._inputs)):
                found.append(patch_tiles(layer, weights, self._patches, **when))
                continue
            if len(weights) != len(self._inputs):  # of windows, which are no maps over an image
                continue
            rows, columns = self._lengths(layer, *weights.shape[2:])
            found.append(attention_tiles(layer, weights, rows, columns, **when))
        for layer, states in seen.states.items():
            steps, _ = self._lengths(layer, states.shape[1], states.shape[1])
            found.append(state_tiles(layer, states, steps, **when))
        return found

    def _lengths(self, layer: str, rows: int, columns: int) -> tuple[list[int] | None, list[int] | None]:
        """Of each text, the steps that look and those looked at: its tokens, and one more for a class token.
        None where steps are no tokens."""
        if self._texts is None:
            return None, None
        read, written = self._texts.lengths, self._texts.target_lengths or self._texts.lengths
        is_decoder = layer.startswith("decoder.")
        looking = written if is_decoder else read
        looked_at = read if layer.endswith(".cross") or not is_decoder else written
        width = self._texts.width
        return _longer(looking, rows - width), _longer(looked_at, columns - width)

    def _near(self, model: nn.Module) -> Tensor:
        """The inputs where the model is."""
        self._inputs = self._inputs.to(next(model.parameters()).device)
        return self._inputs


def _longer(lengths: list[int], more: int) -> list[int] | None:
    return [n + more for n in lengths] if more >= 0 else None
