"""The next steps of a series: losses, and marks that come of sums over windows.

Notation: B windows, H steps ahead, Q quantiles (1 without a band), V variates that are told; scores
(B, H · Q · V) float, step by step, within a step quantile by quantile; y (B, H, V) float, both scaled. y is
NaN where a value was never measured: it counts in no loss and no mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.specs.tasks import ForecastingTask
from workbench.tasks.quiet import Quiet

# Factors that a band may be stretched by; the one in the middle is 1.
FACTORS = np.exp2(np.linspace(-10, 10, 641)).astype(np.float32)
FEWEST = 10  # windows that a band is stretched after


class Forecasting(Quiet):
    """What is told are numbers; errors are of the point forecast: the middle quantile where there are some.

    std, naive (V,): the scale of each variate in its own units, and the mean error there of telling the value
    of a season before, which MASE divides by. widths (V,): what the band of each is stretched by around its
    middle; None leaves it as the model tells it. held: which share of the validation each held so, where no
    factor let it hold what it is meant to. has_holes: whether y may hold NaN.
    """

    kind = "forecasting"
    per_token = False
    counted = "scaled_mae"

    def __init__(
        self, spec: ForecastingTask, horizon: int, variates: Sequence[str], std: np.ndarray,
        naive: np.ndarray, *, has_holes: bool = False,
    ) -> None:  # fmt: skip
        self.has_holes = has_holes
        self.spec, self.horizon, self.variates = spec, horizon, tuple(variates)
        self.std, self.naive = np.asarray(std, np.float64), np.asarray(naive, np.float64)
        self.quantiles = spec.told
        self.middle = min(range(len(self.quantiles)), key=lambda q: abs(self.quantiles[q] - 0.5))
        self.widths: np.ndarray | None = None
        self.held: Sequence[float] = ()

    @property
    def n_classes(self) -> int:
        """Columns of the scores."""
        return self.horizon * len(self.quantiles) * len(self.variates)

    def shaped(self, scores: Tensor) -> Tensor:
        """(..., H · Q · V) -> (..., H, Q, V)."""
        return scores.unflatten(-1, (self.horizon, len(self.quantiles), len(self.variates)))

    def point(self, scores: Tensor) -> Tensor:
        """The one forecast of each value: (..., H · Q · V) -> (..., H, V)."""
        return self.shaped(scores).select(-2, self.middle)

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean over all values, a scalar; of quantiles the mean pinball loss, twice of which is the absolute
        error where 0.5 is the only one.

        Source: Koenker and Bassett 1978, https://doi.org/10.2307/1913643, for the pinball loss.
        """
        if not self.has_holes:
            return self._losses(scores, y, "mean")
        there = ~y.isnan()
        losses = self._losses(scores, y.nan_to_num(0.0), "none")  # (B, H, V), of quantiles (B, H, Q, V)
        if losses.ndim > y.ndim:
            losses = losses.mean(dim=-2)
        return torch.where(there, losses, 0.0).sum() / there.sum().clamp(min=1)

    def _losses(self, scores: Tensor, y: Tensor, reduction: str) -> Tensor:
        kind = self.spec.loss
        if kind == "quantile":
            lines = pinball(self.shaped(scores), y, self.quantiles)
            return lines.mean() if reduction == "mean" else lines
        told = self.point(scores)
        if kind == "mae":
            return F.l1_loss(told, y, reduction=reduction)
        if kind == "huber":
            return F.huber_loss(told, y, delta=self.spec.delta, reduction=reduction)
        return F.mse_loss(told, y, reduction=reduction)

    def mass(self, y: Tensor) -> int | Tensor:
        """Every window counts the same, or every value where some are not there."""
        return (~y.isnan()).sum() if self.has_holes else len(y)

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """Sum of absolute errors: scores (..., B, K), y (..., B, H, V) -> (...)."""
        errors = (self.point(scores) - y).abs()
        errors = torch.where(y.isnan(), 0.0, errors) if self.has_holes else errors
        return errors.sum(dim=(-3, -2, -1))

    def count(self, y: Tensor) -> Tensor | None:
        """How many values there were."""
        if self.has_holes:
            return (~y.isnan()).sum(dim=(-3, -2, -1))
        return torch.full(y.shape[:-3], y.shape[-3] * y.shape[-2] * y.shape[-1], device=y.device)

    def predict(self, scores: Tensor) -> Tensor:
        """Quantiles (..., H, Q, V) float32, rising: where lines cross they are sorted, which brings none of
        them farther from the truth (Chernozhukov et al. 2010, https://doi.org/10.3982/ECTA7880)."""
        told = self._raw(scores)
        return told if self.widths is None else self.stretched(told, self.widths)

    def _raw(self, scores: Tensor) -> Tensor:
        return self.shaped(scores.float()).sort(dim=-2).values

    def stretched(self, told: Tensor, widths: np.ndarray) -> Tensor:
        """Quantiles (..., Q, V) drawn apart around the middle one, by a factor for each variate (V,)."""
        middle = told[..., self.middle : self.middle + 1, :]
        return middle + (told - middle) * torch.as_tensor(widths, dtype=told.dtype, device=told.device)

    def sums(self, scores: Tensor, y: Tensor) -> Tensor | None:
        """How many windows, and by step and variate how many values, and the sums of absolute errors, squared
        errors, and values within the band: (1 + 4 · H · V,). Of a band also how many values of each variate
        would lie within it from each of FACTORS on, and beyond all of them: (V · (F + 1),) more."""
        error = self.point(scores) - y
        told = self.predict(scores)
        within = (y >= told[..., 0, :]) & (y <= told[..., -1, :])
        there = ~y.isnan()
        error = torch.where(there, error, 0.0)
        parts = (there.to(error.dtype), error.abs(), error.square(), within.to(error.dtype))
        n = torch.tensor([len(y)], dtype=error.dtype, device=error.device)
        found = [n, *(part.sum(dim=0).flatten() for part in parts)]
        if len(self.quantiles) > 1:
            found.append(self._reached(scores, y).to(error.dtype))
        return torch.cat(found)

    def _reached(self, scores: Tensor, y: Tensor) -> Tensor:
        """At which of FACTORS the model's own band would reach each value, counted: (V · (F + 1),)."""
        told = self._raw(scores)
        off = y - told[..., self.middle, :]  # (B, H, V)
        half = torch.where(
            off > 0, told[..., -1, :] - told[..., self.middle, :], told[..., self.middle, :] - told[..., 0, :]
        )
        needed = torch.where(off == 0, 0.0, off.abs() / half).contiguous()
        place = torch.bucketize(needed, torch.from_numpy(FACTORS).to(needed.device))
        place = place + torch.arange(y.shape[-1], device=place.device) * (len(FACTORS) + 1)
        counts = torch.zeros(y.shape[-1] * (len(FACTORS) + 1), device=place.device)
        return counts.index_add_(0, place.flatten(), (~y.isnan()).flatten().to(counts.dtype))

    def carried(self, sums: np.ndarray | None) -> dict[str, list[float]]:
        """What a model needs besides its weights to tell its band: {"widths": (V,)}, the factors that let it
        hold its share of the values that `sums` were made of; nothing where none was asked for. Where no
        factor up to the largest does (a band without width is never wider), the least that holds as many as
        any, and at least 1; then "held" (V,) tells the shares that the bands of all of them hold.

        Check: under them, so large a share of those very values lies within the band, or what "held" says.
        Source: Romano, Patterson and Candès 2019, https://arxiv.org/abs/1905.03222, with factors in place of
        summands, so that a band stays as wide here and as narrow there as the model tells it.
        """
        if sums is None or len(self.quantiles) < 2 or not self.spec.calibrate or sums[0] < FEWEST:
            return {}
        level = min(1.0, self.share * (1 + 1 / sums[0]))
        widths, held = [], []
        for own in self._shares(sums)[:, :-1]:
            if np.isnan(own[-1]):  # there is no value to hold
                width = 1.0
            elif own[-1] < level:
                width = max(1.0, float(FACTORS[np.searchsorted(own, own[-1])]))
            else:
                width = float(np.interp(level, own, FACTORS))
            widths.append(width)
            held.append(self.share if np.isnan(own[-1]) else float(np.interp(width, FACTORS, own)))
        return {"widths": widths} | ({"held": held} if self.missed(held) else {})

    def missed(self, held: Sequence[float]) -> dict[str, float]:
        """Of shares (V,) that bands hold those that people are told of, by variate: half a percent and more
        below what is meant."""
        named = zip(self.variates, held, strict=False)
        return {name: share for name, share in named if share < self.share - 0.005}

    @property
    def share(self) -> float:
        """Of the values, that the band is meant to hold."""
        return self.quantiles[-1] - self.quantiles[0]

    def _shares(self, sums: np.ndarray) -> np.ndarray:
        """Values of each variate that the model's own band holds from each factor on, (V, F + 1), 0..1."""
        counts = sums[-len(self.variates) * (len(FACTORS) + 1) :].reshape(len(self.variates), -1)
        with np.errstate(invalid="ignore"):
            found: np.ndarray = counts.cumsum(axis=1) / counts.sum(axis=1, keepdims=True)
        return found

    def parts(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """By step and variate (H, V): how many values there were, and the means of absolute errors, squared
        errors and values within the band; NaN where there was none."""
        size = 4 * self.horizon * len(self.variates)
        own = sums[1 : 1 + size].reshape(4, self.horizon, len(self.variates))
        with np.errstate(invalid="ignore"):
            means = own[1:] / own[0]
        return own[0], means[0], means[1], means[2]

    def marks_of(self, sums: np.ndarray) -> dict[str, float]:
        """scaled_mse and scaled_mae over all values of the scaled series; rmse and mae in its own units, of
        several variates their mean; mase; of a band coverage, the share of values within it, and where it was
        stretched raw_coverage, the share within the band that the model itself tells.

        Source: Hyndman and Koehler 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001, for MASE.
        """
        n, mae, mse, within = self.parts(sums)
        there = n.sum(axis=0) > 0  # of a variate that was not measured there is nothing to tell
        own_mae = (_mean(mae, n, axis=0) * self.std)[there]
        own_rmse = (np.sqrt(_mean(mse, n, axis=0)) * self.std)[there]
        found = {
            "scaled_mae": _mean(mae, n), "scaled_mse": _mean(mse, n), "mae": own_mae.mean(),
            "rmse": own_rmse.mean(),
        }  # fmt: skip
        if (self.naive > 0).all():
            found["mase"] = (own_mae / self.naive[there]).mean()
        if len(self.quantiles) > 1:
            found["coverage"] = _mean(within, n)
            if self.widths is not None:
                found["raw_coverage"] = _mean(self._shares(sums)[:, len(FACTORS) // 2], n.sum(axis=0))
        return {name: float(value) for name, value in found.items()}

    def report_of(self, sums: np.ndarray) -> Mapping[str, Any] | None:
        """{"variates": [{"variate", "mae", "rmse", "mase"}], "steps": {"mae": [...], "rmse": [...]}}: by
        variate in its own units; by step ahead over all variates, of several of them scaled."""
        n, mae, mse, within = self.parts(sums)
        own = self.std if len(self.std) == 1 else np.ones(len(self.std))
        rows = []
        for v, name in enumerate(self.variates):
            if not n[:, v].any():
                continue
            error = float(_mean(mae[:, v], n[:, v]) * self.std[v])
            rmse = float(np.sqrt(_mean(mse[:, v], n[:, v])) * self.std[v])
            row = {"variate": name, "mae": error, "rmse": rmse}
            if self.naive[v] > 0:
                row["mase"] = error / float(self.naive[v])
            rows.append(row)
        steps = {
            "mae": _mean(mae * own, n, axis=1).tolist(),
            "rmse": np.sqrt(_mean(mse * own**2, n, axis=1)).tolist(),
        }
        if len(self.quantiles) > 1:
            steps["coverage"] = _mean(within, n, axis=1).tolist()
        return {"variates": rows, "steps": steps, "windows": int(sums[0]), "is_scaled": len(self.std) > 1}


def _mean(means: np.ndarray, counts: np.ndarray, axis: int | None = None) -> Any:
    """The mean over all values of means over `counts` of them each; NaN where there are none."""
    with np.errstate(invalid="ignore"):
        return (np.where(counts > 0, means, 0.0) * counts).sum(axis=axis) / counts.sum(axis=axis)


def pinball(told: Tensor, y: Tensor, quantiles: Sequence[float]) -> Tensor:
    """q · (y - told) above the quantile and (1 - q) · (told - y) below: (B, H, Q, V), (B, H, V) -> as told.

    Check: its mean is least where a share q of the values lies below what is told.
    """
    q = torch.tensor(quantiles, dtype=told.dtype, device=told.device).view(-1, 1)
    error = y.unsqueeze(-2) - told
    return torch.maximum(q * error, (q - 1) * error)
