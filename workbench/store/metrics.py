"""Last and best value of every key of a run: as one JSON text for readers, as rows to sort runs by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete

from workbench.records import LOWER_IS_BETTER
from workbench.store.schema import run_metrics


def merge_metrics(
    known: Mapping[str, Mapping[str, float]], chunks: Sequence[tuple[str, Any, Any]]
) -> dict[str, dict[str, float]]:
    """Last and best value per key after new points; chunks are (key, steps, values) in step order.

    Best is the smallest for losses and what follows from them, else the largest; what is not finite never is.
    """
    merged = {key: dict(value) for key, value in known.items()}
    for key, steps, values in chunks:
        if not len(values):
            continue
        entry = merged.setdefault(key, {})
        entry["last"] = float(values[-1])
        finite = values[np.isfinite(values)]
        if not len(finite):
            continue
        lower = key.endswith(LOWER_IS_BETTER)
        best = float(finite.min() if lower else finite.max())
        old = entry.get("best")
        if old is None or (best < old if lower else best > old):
            entry["best"] = best
            entry["best_step"] = int(steps[(values == best).argmax()])
    return merged


def write_rows(
    connection: Connection, run_id: str, merged: Mapping[str, Mapping[str, float]], keys: Iterable[str]
) -> None:
    """Bring the rows of `keys` up to what `merged` says, inside the caller's transaction."""
    wanted = set(keys)
    here = run_metrics.c.run_id == run_id
    connection.execute(delete(run_metrics).where(here, run_metrics.c.key.in_(wanted)))
    rows = [
        {
            "run_id": run_id, "key": key, "last": _number(merged[key].get("last")),
            "best": _number(merged[key].get("best")), "best_step": merged[key].get("best_step"),
        }
        for key in sorted(wanted)
        if key in merged
    ]  # fmt: skip
    if rows:
        connection.execute(run_metrics.insert(), rows)


def _number(value: float | None) -> float | None:
    """NaN has no place in an order."""
    return None if value is None or math.isnan(value) else value
