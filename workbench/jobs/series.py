"""What the check and the outlook must know of a series: how many windows, and what does not go with one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from workbench.data.series.dataset import cut, rows_of
from workbench.data.series.stored import Stored
from workbench.specs.data import DataSpec
from workbench.specs.errors import Problem
from workbench.specs.run import RunSpec
from workbench.specs.sizes import SeriesSizes
from workbench.specs.tasks import MIDDLE, MOST_QUANTILES, ForecastingTask
from workbench.store.datasets import DatasetRow

SPLITS = ("train", "validation", "test")


def sizes(row: DatasetRow, spec: DataSpec) -> SeriesSizes:
    """Windows per split, as the run will cut the series. Raises DataError."""
    return _sizes(row.path, row.fingerprint, spec.model_dump_json())


@lru_cache(maxsize=64)  # asked at every keystroke
def _sizes(folder: Path, fingerprint: str, data: str) -> SeriesSizes:
    spec, stored = DataSpec.model_validate_json(data), Stored(folder)
    rows = rows_of(folder, spec)
    steps = min(len(stored), spec.series.rows or len(stored))
    counts = {name: len(getattr(rows, name)) for name in SPLITS}
    return SeriesSizes(counts, steps * len(stored.schema.variates))


def series_problems(spec: RunSpec, row: DatasetRow) -> list[Problem]:
    """What can only be wrong or doubtful with a series."""
    found = []
    if spec.data.augment:
        found.append(
            Problem(
                where="data.augment", rule="random changes are made to images",
                fact=f"{spec.data.name} is a series", repair="Take the changes away.",
            )
        )  # fmt: skip
    if isinstance(spec.task, ForecastingTask):
        found += _middle_problems(spec.task)
    stored = Stored(row.path)
    series = spec.data.series
    train = cut(min(len(stored), series.rows or len(stored)), spec.data)[0]
    season = series.season or (stored.frequency.season if stored.frequency else 1)
    if 1 < season < train // 4 and series.look_back < season:
        found.append(
            Problem(
                where="data.series.look_back", rule="what is seen should hold a season at least",
                fact=f"a look-back of {series.look_back:,} is shorter than the season of {season:,} steps",
                repair=f"Set data.series.look_back to {season:,} or more.", severity="warning",
            )
        )  # fmt: skip
    return found


def _middle_problems(task: ForecastingTask) -> list[Problem]:
    """A band alone has no forecast: what comes is not as often above as below any of its lines.

    Only a launch is refused: of runs from before, the quantile nearest to 0.5 stands for it.
    """
    if task.has_middle:
        return []
    told = ", ".join(f"{q:g}" for q in task.quantiles)
    return [
        Problem(
            where="task.quantiles", rule=f"the forecast is the quantile {MIDDLE:g}, so that one is told",
            fact=f"the quantiles are {told}", repair=f"Set task.quantiles to {_with_middle(task)}.",
        )
    ]  # fmt: skip


def _with_middle(task: ForecastingTask) -> str:
    """The quantiles with 0.5 among them, in place of the nearest where there are as many as there may be."""
    now = list(task.quantiles)
    if len(now) >= MOST_QUANTILES:
        now.remove(min(now, key=lambda q: abs(q - MIDDLE)))
    return f"[{', '.join(f'{q:g}' for q in sorted([*now, MIDDLE]))}]"


def told(spec: RunSpec, row: DatasetRow, found: Mapping[str, int]) -> str:
    """Where training, validation and test lie in time, and how many windows they hold."""
    stored = Stored(row.path)
    borders = (0, *cut(min(len(stored), spec.data.series.rows or len(stored)), spec.data))
    words = ("to learn from", "to validate on", "to test on")
    parts = [
        f"{found[name]:,} windows {word} ({stored.label(start)} to {stored.label(end - 1)})"
        for name, word, start, end in zip(SPLITS, words, borders, borders[1:], strict=False)
        if end > start
    ]
    return f"{spec.data.name}: {', '.join(parts)}"


def windows(spec: RunSpec, row: DatasetRow) -> str:
    """What a window holds."""
    series, names = spec.data.series, row.schema.variates
    of = f"of {len(names):,} variates" if len(names) > 1 else f"of {names[0]}"
    ahead = f"the next {series.horizon:,}" + (f" of {series.target}" if series.target else "")
    every = f" (a step every {row.schema.frequency})" if row.schema.frequency else ""
    scaled = "" if series.scaling == "none" else "; each variate is scaled by its training steps"
    return f"{series.look_back:,} steps {of} are seen, {ahead} are told{every}{scaled}"


def loss(task: ForecastingTask) -> str:
    """The loss in words."""
    return {
        "mse": "squared errors of the scaled values", "mae": "absolute errors of the scaled values",
        "huber": f"Huber's loss of the scaled values, squared up to {task.delta:g}",
        "quantile": f"pinball loss of the quantiles {', '.join(f'{q:g}' for q in task.quantiles)}",
    }[task.loss]  # fmt: skip
