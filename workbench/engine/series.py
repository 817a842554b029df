"""Series as batches of windows; floors that a forecast must beat; and forecasts for people to look at.

Notation: T steps, V variates, N windows, B of a batch, L steps seen, H told of C chosen variates.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.engine.batches import order
from workbench.engine.device import free_bytes
from workbench.engine.task import Task
from workbench.specs.errors import DataError

SHARE = 0.25  # of the free memory that the series may take on the device
FLOORS = ("persistence", "seasonal")
FLOOR_BATCH = 512
SHOWN = 12  # windows of a panel
MOST_NUMBERS = 60_000  # of a panel
MOST_TOLD = 3  # variates whose band holds too few
BAND = 1.2816  # standard deviations that hold four of five normal errors


class SeriesFeed:
    """x (B, L, V) float32, y (B, H, C) float32, NaN where a value was filled. The series lies on the device
    where it fits; windows are gathered from it, so that a window costs nothing until it is asked for."""

    width = 1
    y = None

    def __init__(self, split: Any, device: torch.device) -> None:
        self.n = len(split)
        self.device = device
        self._look_back, self._horizon = split.look_back, split.horizon
        self._targets = torch.from_numpy(np.asarray(split.targets)).to(device)
        self._all = len(split.targets) == split.values.shape[1]
        self._host = split.values
        self._parts = {"values": split.values, "known": split.known, "held": split.held}
        self._bytes = sum(int(part.nbytes) for part in self._parts.values() if part is not None)
        self.is_near = self._bytes <= SHARE * free_bytes(device)
        self._near = {
            name: torch.from_numpy(np.array(part)).to(device)
            for name, part in self._parts.items()
            if part is not None and self.is_near
        }
        self._index = np.asarray(split.index, np.int64)
        self._steps = torch.arange(-self._look_back, self._horizon, device=device)
        self._is_told = (self._steps >= 0).unsqueeze(1)  # (L + H, 1)

    @property
    def mark(self) -> int:
        first = np.ascontiguousarray(self._host[: 1 << 16]).tobytes()
        return zlib.crc32(self._index.tobytes(), zlib.crc32(first))

    @property
    def held_bytes(self) -> int:
        return (self._bytes if self.is_near else 0) + 8 * self.n

    def shuffled(self, seed: int, epoch: int, sizes: list[int]) -> list[Tensor]:
        rows = torch.from_numpy(self._index)[order(self.n, seed, epoch)]
        return list(rows.to(self.device if self.is_near else "cpu").split(sizes))

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """rows (B,) int64: the first step that each window tells."""
        whole, known = self._gathered("values", rows), self._gathered("known", rows)  # (B, L + H, V)
        assert whole is not None, "a series has values"
        if known is not None:
            whole = whole.masked_fill(~known & self._is_told, torch.nan)
            held = self._gathered("held", rows)
            if held is not None:  # where no value that was given follows within what is seen
                seen = known & ~self._is_told
                whole = torch.where(seen.flip(1).cumsum(1).flip(1).eq(0) & ~self._is_told, held, whole)
        told = whole[:, self._look_back :]
        return whole[:, : self._look_back], told if self._all else told.index_select(2, self._targets)

    def _gathered(self, name: str, rows: Tensor) -> Tensor | None:
        """The steps of windows, (B, L + H, V); None where the series has no such part."""
        part = self._parts[name]
        if part is None:
            return None
        if self.is_near:
            return self._near[name][rows.unsqueeze(1) + self._steps]
        places = rows.numpy()[:, None] + np.arange(-self._look_back, self._horizon)
        return torch.from_numpy(part[places]).to(self.device)

    def changed(self, rows: Tensor, augment: object, step: int) -> tuple[Tensor, Tensor]:
        raise DataError.of(
            "data.augment", "random changes are made to images", "this is a series", "Take the changes away."
        )

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        rows = torch.from_numpy(self._index).to(self.device if self.is_near else "cpu")
        for part in rows.split(batch) if self.n else ():
            yield self.batch(part)

    def as_stored(self, scores: Tensor) -> Tensor:
        return scores


def floors(split: Any, data: Any, task: Any) -> dict[str, dict[str, float]]:
    """Marks of forecasts that need no learning, on the windows of a split: persistence tells the last value
    again, seasonal that of a season before. Without a season, or a past as long, there is only the first.

    Check: with a horizon of 1 and a season of 12, the errors of lag 1 and lag 12.
    """
    return {name: _point_marks(task, sums) for name, sums in floor_sums(split, data, task).items()}


def floor_sums(split: Any, data: Any, task: Any) -> dict[str, np.ndarray]:
    """What the marks of the floors are made of, as `Task.sums` tells it."""
    found = {}
    season = data.season
    ahead = np.arange(split.horizon)
    values = split.values if split.held is None else split.held  # nothing that is made of what follows
    back = {"persistence": ahead + 1, "seasonal": (ahead // season + 1) * season}
    for name in FLOORS:
        if not len(split) or (name == "seasonal" and (season < 2 or season > split.index.min())):
            continue
        total = np.zeros(1)
        for at in range(0, len(split), FLOOR_BATCH):
            first = split.index[at : at + FLOOR_BATCH, None]
            told = torch.from_numpy(values[first + ahead - back[name]][:, :, split.targets])
            y = torch.from_numpy(split.truth(first + ahead))
            scores = told.unsqueeze(2).expand(-1, -1, len(task.quantiles), -1).flatten(1)
            total = total + task.sums(scores, y).double().numpy()
        found[name] = total
    return found


def _point_marks(task: Any, sums: np.ndarray) -> dict[str, float]:
    return {name: value for name, value in task.marks_of(sums).items() if "coverage" not in name}


# ---------------------------------------------------------------- for people


def forecasts(
    model: nn.Module, data: Any, task: Task, samples: int, sums: np.ndarray | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Data and arrays of the panel "forecast": some validation windows, what came before them, what the model
    tells and what came. sums: of that validation, from which the band of a model that tells none is made:
    four of five of its errors at each step ahead. The model must be in eval mode.

    Arrays in the series' own units: past (W, P, C), truth (W, H, C), NaN where it was filled, told
    (W, H, 3, C): low, middle, high.
    """
    split, chosen = data.validation, shown_windows(data, samples)
    x = torch.from_numpy(np.stack([split.seen(i) for i in chosen]))
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    told = bands(task, model(x.to(device)).float(), sums).cpu().numpy()
    shown = _past_shown(split)
    past = np.stack([split.seen(i)[-shown:, split.targets] for i in chosen])
    truth = split.truth(split.index[chosen][:, None] + np.arange(split.horizon))
    std, mean = data.std[split.targets], data.mean[split.targets]
    arrays = {
        name: (part * std + mean).astype(np.float32)
        for name, part in (("past", past), ("truth", truth), ("told", told))
    }
    firsts = [int(split.index[i]) for i in chosen]
    facts = {
        "variates": list(data.targets), "season": data.season, "frequency": str(data.frequency or ""),
        "starts": [data.label(at - shown) for at in firsts],
        "times": [[data.label(at + h) for h in range(split.horizon)] for at in firsts],
        "windows": [int(i) for i in chosen], "band": band_words(task, sums),
    }  # fmt: skip
    return facts, arrays


def bands(task: Any, scores: Tensor, sums: np.ndarray | None) -> Tensor:
    """Low, middle and high of every value, scaled: (B, K) -> (B, H, 3, C). Without quantiles the band is the
    spread of the errors at each step, as `sums` of a validation tell it; none where there is none."""
    if len(task.quantiles) > 1:
        told = task.predict(scores)
        if task.widths is None and (widths := task.carried(sums).get("widths")):
            told = task.stretched(told, np.array(widths))
        return torch.stack([told[:, :, 0], told[:, :, task.middle], told[:, :, -1]], dim=2)
    point = task.point(scores)
    if sums is None:
        return torch.stack([point, point, point], dim=2)
    spread = torch.from_numpy(np.nan_to_num(np.sqrt(task.parts(sums)[2]))).to(point) * BAND
    return torch.stack([point - spread, point, point + spread], dim=2)


def band_words(task: Any, sums: np.ndarray | None) -> str:
    """What the band is, for people; empty where there is none."""
    if len(task.quantiles) > 1:
        named = f"quantiles {task.quantiles[0]:g} to {task.quantiles[-1]:g}"
        learned = task.carried(sums) if task.widths is None else {"widths": task.widths, "held": task.held}
        if not learned:
            return named
        found = f"{named}, {np.mean(learned['widths']):.2f} times as wide by the validation"
        missed = task.missed(learned.get("held", ()))
        if not missed:
            return found
        told = ", ".join(
            f"{100 * share:.0f} % of {name[:40]}" for name, share in [*missed.items()][:MOST_TOLD]
        )
        more = f" and too few of {len(missed) - MOST_TOLD} more" if len(missed) > MOST_TOLD else ""
        return f"{found}, which held {told}{more} instead of {100 * task.share:.0f} %"
    return "" if sums is None else "80 % by the validation's errors"


def horizon_panel(data: Any, task: Any, sums: np.ndarray) -> Mapping[str, Any]:
    """Data of the panel "horizon": errors by step ahead and by variate, beside those of the floors."""
    found = dict(task.report_of(sums))
    found["marks"] = task.marks_of(sums)
    found["floors"] = {}
    for name, own in floor_sums(data.validation, data, task).items():
        found["floors"][name] = {"marks": _point_marks(task, own), "steps": task.report_of(own)["steps"]}
    return found


def shown_windows(data: Any, samples: int) -> list[int]:
    """Windows of the validation split to be looked at, evenly over it: as many as are asked for and fit."""
    split = data.validation
    each = (_past_shown(split) + 4 * split.horizon) * len(split.targets)
    most = max(1, min(SHOWN, samples, MOST_NUMBERS // max(1, each)))
    n = min(most, len(split))
    return [round(k * (len(split) - 1) / max(1, n - 1)) for k in range(n)]


def _past_shown(split: Any) -> int:
    """Steps of the past that are shown before a forecast."""
    return int(min(split.look_back, max(2 * split.horizon, 48)))
