"""The next steps of a series: losses, and marks that come of sums over windows.

Notation: B windows, H steps ahead, Q quantiles (1 without a band), V variates that are told; scores
(B, H · Q · V) float, step by step, within a step quantile by quantile; y (B, H, V) float, both scaled.
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


class Forecasting(Quiet):
    """What is told are numbers; errors are of the point forecast: the middle quantile where there are some.

    std, naive (V,): the scale of each variate in its own units, and the mean error there of telling the value
    of a season before, which MASE divides by.
    """

    kind = "forecasting"
    per_token = False
    counted = "scaled_mae"

    def __init__(
        self, spec: ForecastingTask, horizon: int, variates: Sequence[str], std: np.ndarray, naive: np.ndarray
    ) -> None:
        self.spec, self.horizon, self.variates = spec, horizon, tuple(variates)
        self.std, self.naive = np.asarray(std, np.float64), np.asarray(naive, np.float64)
        self.quantiles = spec.told
        self.middle = min(range(len(self.quantiles)), key=lambda q: abs(self.quantiles[q] - 0.5))

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
        kind = self.spec.loss
        if kind == "quantile":
            return pinball(self.shaped(scores), y, self.quantiles).mean()
        told = self.point(scores)
        if kind == "mae":
            return F.l1_loss(told, y)
        if kind == "huber":
            return F.huber_loss(told, y, delta=self.spec.delta)
        return F.mse_loss(told, y)

    def mass(self, y: Tensor) -> int | Tensor:
        """Every window counts the same."""
        return len(y)

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """Sum of absolute errors: scores (..., B, K), y (..., B, H, V) -> (...)."""
        return (self.point(scores) - y).abs().sum(dim=(-3, -2, -1))

    def count(self, y: Tensor) -> Tensor | None:
        """How many values there were."""
        return torch.full(y.shape[:-3], y.shape[-3] * y.shape[-2] * y.shape[-1], device=y.device)

    def predict(self, scores: Tensor) -> Tensor:
        """Quantiles (..., H, Q, V) float32, rising: where lines cross they are sorted, which brings none of
        them farther from the truth (Chernozhukov et al. 2010, https://doi.org/10.3982/ECTA7880)."""
        return self.shaped(scores.float()).sort(dim=-2).values

    def sums(self, scores: Tensor, y: Tensor) -> Tensor | None:
        """How many windows, and by step and variate the sums of absolute errors, squared errors, and values
        within the band: (1 + 3 · H · V,)."""
        error = self.point(scores) - y
        told = self.predict(scores)
        within = (y >= told[..., 0, :]) & (y <= told[..., -1, :])
        parts = (error.abs(), error.square(), within.to(error.dtype))
        n = torch.tensor([len(y)], dtype=error.dtype, device=error.device)
        return torch.cat([n, *(part.sum(dim=0).flatten() for part in parts)])

    def parts(self, sums: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Windows; and means (H, V) of absolute errors, squared errors and values within the band."""
        n = float(sums[0])
        means = sums[1:].reshape(3, self.horizon, len(self.variates)) / n
        return n, means[0], means[1], means[2]

    def marks_of(self, sums: np.ndarray) -> dict[str, float]:
        """scaled_mse and scaled_mae over all values of the scaled series; rmse and mae in its own units, of
        several variates their mean; mase; of a band coverage, the share of values within it.

        Source: Hyndman and Koehler 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001, for MASE.
        """
        _, mae, mse, within = self.parts(sums)
        own_mae, own_rmse = mae.mean(axis=0) * self.std, np.sqrt(mse.mean(axis=0)) * self.std
        found = {
            "scaled_mae": mae.mean(), "scaled_mse": mse.mean(), "mae": own_mae.mean(), "rmse": own_rmse.mean()
        }  # fmt: skip
        if (self.naive > 0).all():
            found["mase"] = (own_mae / self.naive).mean()
        if len(self.quantiles) > 1:
            found["coverage"] = within.mean()
        return {name: float(value) for name, value in found.items()}

    def report_of(self, sums: np.ndarray) -> Mapping[str, Any] | None:
        """{"variates": [{"variate", "mae", "rmse", "mase"}], "steps": {"mae": [...], "rmse": [...]}}: by
        variate in its own units; by step ahead over all variates, of several of them scaled."""
        n, mae, mse, within = self.parts(sums)
        own = self.std if len(self.std) == 1 else np.ones(len(self.std))
        rows = []
        for v, name in enumerate(self.variates):
            error = float(mae[:, v].mean() * self.std[v])
            row = {"variate": name, "mae": error, "rmse": float(np.sqrt(mse[:, v].mean()) * self.std[v])}
            if self.naive[v] > 0:
                row["mase"] = error / float(self.naive[v])
            rows.append(row)
        steps = {
            "mae": (mae * own).mean(axis=1).tolist(),
            "rmse": np.sqrt((mse * own**2).mean(axis=1)).tolist(),
        }
        if len(self.quantiles) > 1:
            steps["coverage"] = within.mean(axis=1).tolist()
        return {"variates": rows, "steps": steps, "windows": int(n), "is_scaled": len(self.std) > 1}


def pinball(told: Tensor, y: Tensor, quantiles: Sequence[float]) -> Tensor:
    """q · (y - told) above the quantile and (1 - q) · (told - y) below: (B, H, Q, V), (B, H, V) -> as told.

    Check: its mean is least where a share q of the values lies below what is told.
    """
    q = torch.tensor(quantiles, dtype=told.dtype, device=told.device).view(-1, 1)
    error = y.unsqueeze(-2) - told
    return torch.maximum(q * error, (q - 1) * error)
