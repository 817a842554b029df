"""What a trained model forecasts: from the end of its own series, or of another file of the same columns.

Answers follow the contract of `predict --json`: input and prediction, (H, C) numbers in the series' units.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
import torch

from workbench import catalog
from workbench.data.limits import Limits
from workbench.data.report import Report, shown
from workbench.data.series.dataset import Windows
from workbench.data.series.imported import CHOICES, understood
from workbench.data.series.regular import regular
from workbench.data.series.stored import Stored, label
from workbench.data.table.reading import open_path
from workbench.engine.evaluate import judge
from workbench.engine.feeds import feed_for
from workbench.engine.series import band_words, bands
from workbench.specs.base import did_you_mean
from workbench.specs.errors import DataError
from workbench.specs.series_import import SeriesImport
from workbench.specs.tables import TableReading
from workbench.store import Store
from workbench.tasks.forecasting import Forecasting
from workbench.worker.trained import Trained

MOST_PAST = 400  # steps before the forecast that are told along


class Steps(NamedTuple):
    """Steps in order: moments (T,) int64, or numbers of the steps; values (T, V) in the series' units; filled
    (T, V) bool: those that were made up."""

    moments: np.ndarray
    values: np.ndarray
    filled: np.ndarray


def ahead(trained: Trained, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One answer per file of the payload (`images`: name and content); without any, from the end of the
    series that the model learned from.

    {"input", "prediction" (H, C), "low", "high" (H, C), "band", "times" (H,), "variates" (C,), "quantiles":
    {q: (H, C)}, "past": {"times", "values"}, "repairs"}. Raises DataError for a file that does not fit.
    """
    files = list(payload.get("images", ()))
    if not files:
        return [_told(trained, f"the end of {trained.data.name}", _own(trained), [])]
    found = []
    for item in files:
        report = Report(50)
        with tempfile.TemporaryDirectory(prefix="workbench-") as place:
            path = Path(place) / f"file{PurePath(str(item['name'])).suffix[:12]}"
            path.write_bytes(base64.b64decode(item["content"]))
            steps = continued(trained, read_steps(trained, path, str(item["name"]), report))
        found.append(_told(trained, str(item["name"]), steps, report.mended()))
    return found


def other_series(store: Store, trained: Trained, data: str, report: Report) -> Windows:
    """All windows of a registered set or of a file, under the scale of the model; what was mended in the file
    is in the report. Raises DataError."""
    known = {row.name: row for row in catalog.list(store)}
    path = Path(data).expanduser()
    if data in known:
        stored = Stored(known[data].path)
        places = _places(trained, list(stored.schema.variates), data)
        steps = Steps(
            np.asarray(stored.moments), np.asarray(stored.values)[:, places],
            np.asarray(stored.filled)[:, places],
        )  # fmt: skip
    elif path.exists():
        steps = read_steps(trained, path, path.name, report)
    else:
        raise DataError.of(
            data, "data to judge on is a file or a registered set", "it is neither", did_you_mean(data, known)
        )
    like: Windows = trained.data.train
    need = like.look_back + like.horizon
    if len(steps.values) < need:
        raise DataError.of(
            data, f"a window takes {need:,} steps", f"it has {len(steps.values):,}", "Give a longer series."
        )
    index = np.arange(like.look_back, len(steps.values) - like.horizon + 1, dtype=np.int64)
    return replace(like.of(_scaled(trained, steps.values), steps.filled), index=index)


def read_steps(trained: Trained, path: Path, name: str, report: Report) -> Steps:
    """The variates of the model from a table, made even as its own series was. Raises DataError."""
    data = trained.data
    names = list(data.schema.variates)
    reading = TableReading.model_validate({"dates": data.schema.columns.get("dates")})
    with open_path(path, reading, Limits(), report) as table:
        frame = table.frame()
        _places(trained, list(table.names), name)
        time = data.schema.columns.get("time", "").partition(" + ")[0]
        chosen = {choice: data.schema.columns[choice] for choice in CHOICES if choice in data.schema.columns}
        told = {
            "value_columns": tuple(names), "time_column": time if time in table.names else None,
            "frequency": data.schema.frequency or None,
        }  # fmt: skip
        asked = SeriesImport.model_validate({**told, **chosen})
        found = understood(table, frame, asked)
    values = frame[names].to_numpy(np.float64)
    even = regular(found.moments, values, names, asked, report, has_zone=found.has_zone)
    return Steps(*even[:3])


def continued(trained: Trained, steps: Steps) -> Steps:
    """With the model's own series before it, where a file goes on from it; as it is otherwise."""
    data = trained.data
    if data.frequency is None or not data.schema.columns.get("time"):
        return steps
    known = _own(trained)
    before = int(np.searchsorted(known.moments, steps.moments[0]))
    joins = before and (
        before < len(known.moments)
        or int(data.frequency.after(int(known.moments[-1]), 1)[0]) == steps.moments[0]
    )
    if not joins:
        return steps
    return Steps(*(np.concatenate([own[:before], rest]) for own, rest in zip(known, steps, strict=True)))


def _told(trained: Trained, name: str, steps: Steps, repairs: list[str]) -> dict[str, Any]:
    data, task = trained.data, _task(trained)
    look_back, targets = data.train.look_back, data.train.targets
    if len(steps.values) < look_back:
        raise DataError.of(
            name, f"the model sees {look_back:,} steps of the past", f"there are {len(steps.values):,}",
            f"Give {look_back:,} steps or more, or steps that go on where {data.name} ends.",
        )  # fmt: skip
    x = torch.from_numpy(_scaled(trained, steps.values[-look_back:])).unsqueeze(0)
    sums = validation_sums(trained)
    with torch.inference_mode():
        scores = trained.model(x).float()
        band = bands(task, scores, sums)[0].numpy()  # (H, 3, C)
        quantiles = task.predict(scores)[0].numpy()  # (H, Q, C)
    std, mean = data.std[targets], data.mean[targets]
    low, middle, high = (band[:, k] * std + mean for k in range(3))
    times = _ahead(trained, steps, len(middle))
    shown = min(len(steps.values), max(look_back, 2 * len(middle)), MOST_PAST)
    has_moments = bool(data.schema.columns.get("time"))
    past = [label(int(m), data.frequency, has_moments) for m in steps.moments[-shown:]]
    several = len(task.quantiles) > 1
    return {
        "input": name, "prediction": middle.tolist(), "low": low.tolist(), "high": high.tolist(),
        "band": band_words(task, sums), "times": times, "variates": list(data.targets),
        "quantiles": {
            f"{q:g}": (quantiles[:, k] * std + mean).tolist() for k, q in enumerate(task.quantiles) if several
        },
        "past": {"times": past, "values": steps.values[-shown:, targets].tolist()},
        "repairs": repairs, "run": trained.row.id, "checkpoint": trained.checkpoint.name,
        "step": trained.checkpoint.step,
    }  # fmt: skip


def _ahead(trained: Trained, steps: Steps, horizon: int) -> list[str]:
    """The moments that are told, as people write them; numbers where the steps have none."""
    data = trained.data
    last = int(steps.moments[-1])
    if not data.schema.columns.get("time"):
        return [str(last + 1 + k) for k in range(1, horizon + 1)]
    if data.frequency is None:
        return [f"+{k}" for k in range(1, horizon + 1)]
    return [label(int(m), data.frequency, True) for m in data.frequency.after(last, horizon)]


_SUMS: dict[tuple[str, str, float], np.ndarray] = {}  # of a checkpoint's validation: the band is made of them


def validation_sums(trained: Trained) -> np.ndarray | None:
    """The sums of the model's own validation, from which a band is made where it tells none; worked out once.
    None where there is nothing to validate on."""
    if len(_task(trained).quantiles) > 1 or not len(trained.data.validation):
        return None
    key = (trained.row.id, trained.checkpoint.name, trained.checkpoint.time)
    if key not in _SUMS:
        if len(_SUMS) > 32:
            _SUMS.clear()
        feed = feed_for(trained.data.validation, trained.data, trained.task, torch.device("cpu"))
        found = judge(trained.model, feed, trained.task).sums
        assert found is not None, "there is a window at least"
        _SUMS[key] = found
    return _SUMS[key]


def _task(trained: Trained) -> Forecasting:
    assert isinstance(trained.task, Forecasting), "a series is forecast"
    return trained.task


def _own(trained: Trained) -> Steps:
    """The whole series that the model's set holds, in its own units."""
    data = trained.data
    return Steps(data.moments, data.train.values.astype(np.float64) * data.std + data.mean, data.filled)


def _scaled(trained: Trained, values: np.ndarray) -> np.ndarray:
    return np.asarray((values - trained.data.mean) / trained.data.std, np.float32)


def _places(trained: Trained, names: list[str], where: str) -> list[int]:
    """The columns of the model's variates. Raises DataError for the first that is missing."""
    for name in trained.data.schema.variates:
        if name not in names:
            raise DataError.of(
                where, f"the model sees the columns {', '.join(trained.data.schema.variates[:12])}",
                f"`{shown(name, 40)}` is not there", did_you_mean(name, names[:40]),
            )  # fmt: skip
    return [names.index(name) for name in trained.data.schema.variates]
