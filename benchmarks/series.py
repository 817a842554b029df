"""Forecasts of real series beside what needs no learning, through the product's own command line: mean ± sd.

    python -m benchmarks.series [--seeds 3] [--only etth1|airline|sunspots|min-temperatures|presets]

ETTh1 as papers have it: 12/4/4 months, all seven variates scaled by their training steps, 96 hours ahead
from the 336 before. The others: one step ahead on the last third (33 %), in their own units. The best
checkpoint by validation is judged, so that the test steps choose nothing. Presets: as they are
shipped, twelve months of sunspots ahead.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.command import SHARED, call, judged, measured, spread, trained
from benchmarks.report import Figure, report

Raw = dict[str, Any]


def straight(out_steps: int, **more: Any) -> list[Raw]:
    return [{"kind": "series_linear", "out_steps": out_steps, **more}, {"kind": "flatten"}]


LSTM = [
    {"kind": "lstm", "hidden_size": 32}, {"kind": "sequence_pool", "mode": "last"},
    {"kind": "linear", "out_features": 1},
]  # fmt: skip
THIRD: Raw = {"validation": 0.15, "test": 0.33}
# work -> file, data, [(network, family, layers, lr, epochs, batch)], mark, target, of what
Work = tuple[str, Raw, list[tuple[str, str, list[Raw], float, int, int]], str, float, str]
WORKS: dict[str, Work] = {
    "etth1": (
        "ETTh1.csv",
        {"validation": 0.2, "test": 0.2, "series": {"look_back": 336, "horizon": 96, "rows": 14_400}},
        [
            ("DLinear", "mlp", straight(96), 1e-3, 8, 32),
            ("NLinear", "mlp", straight(96, kernel_size=1, normalize="last"), 1e-3, 8, 32),
        ],
        "scaled_mse", 0.45, "published: DLinear 0.375, NLinear 0.374",
    ),
    "airline": (
        "airline-passengers.csv",
        {**THIRD, "test": 0.3333, "series": {"look_back": 24, "horizon": 1}},
        [("NLinear", "mlp", straight(1, kernel_size=1, normalize="last"), 1e-2, 200, 32)],
        "rmse", 41.85, "a year before, the better of the floors",
    ),
    "sunspots": (
        "monthly-sunspots.csv",
        {**THIRD, "series": {"look_back": 132, "horizon": 1}},
        [("DLinear", "mlp", straight(1), 2e-3, 20, 32), ("LSTM", "rnn", LSTM, 3e-3, 15, 64)],
        "rmse", 18.40, "the month before",
    ),
    "min-temperatures": (
        "daily-min-temperatures.csv",
        {**THIRD, "series": {"look_back": 60, "horizon": 1}},
        [("DLinear", "mlp", straight(1), 2e-3, 20, 32), ("LSTM", "rnn", LSTM, 3e-3, 15, 64)],
        "rmse", 2.624, "the day before",
    ),
}  # fmt: skip

AHEAD = ("dlinear", "lstm-forecast", "tcn-forecast", "encoder-forecast", "quantile-forecast")  # twelve months


def spec_of(data: Raw, family: str, layers: list[Raw], lr: float, epochs: int, batch: int, seed: int) -> Raw:
    return {
        "name": f"{data['name']}-{family}", "seed": seed, "data": data,
        "model": {"family": family, "layers": layers}, "task": {"kind": "forecasting"},
        "training": {
            "optimizer": {"kind": "adamw", "lr": lr}, "schedule": {"kind": "cosine", "warmup": 0.1},
            "batch_size": batch, "epochs": epochs, "clip_norm": 1.0,
        },
        "watch": {"samples": 4},
    }  # fmt: skip


def presets(seeds: int, home: Path) -> list[Figure]:
    figures = []
    for name in AHEAD:
        runs = [trained(home, name, f"seed={seed}") for seed in range(seeds)]
        found = [judged(home, run) for run, _ in runs]
        scores = [one["metrics"]["rmse"] for one in found]
        floor = min(one["rmse"] for one in found[0]["report"]["floors"].values())
        minutes = max(took for _, took in runs)
        figures.append(
            Figure(
                f"sunspots a year ahead, `{name}`, RMSE", round(statistics.mean(scores), 4), "",
                f"< {floor:.4g} (the better of the floors)", statistics.mean(scores) < floor, seeds,
                f"± {spread(scores):.4f} sd; {minutes:.1f} min at most a run",
            )
        )  # fmt: skip
        print(figures[-1].line(), flush=True)
        shares = [one["metrics"]["coverage"] for one in found if "coverage" in one["metrics"]]
        if shares:
            figures.append(
                Figure(
                    f"sunspots a year ahead, `{name}`, share of the values in the band",
                    round(statistics.mean(shares), 4), "", "0.8 is meant", None, seeds,
                    f"± {spread(shares):.4f} sd",
                )
            )  # fmt: skip
            print(figures[-1].line(), flush=True)
    return figures


def measure(work: str, seeds: int, home: Path) -> list[Figure]:
    if work == "presets":
        return presets(seeds, home)
    file, data, networks, mark, target, peer = WORKS[work]
    name = f"{work}-original"  # one of them is shipped under its own
    call("data", "add", str(SHARED / "timeseries" / file), "--name", name, home=home)
    figures = []
    for network, family, layers, lr, epochs, batch in networks:
        runs = [
            trained(home, spec_of({"name": name, **data}, family, layers, lr, epochs, batch, seed))
            for seed in range(seeds)
        ]
        minutes = statistics.mean(took for _, took in runs)
        found = [judged(home, run) for run, _ in runs]
        marks = [one["metrics"] for one in found]
        scores = [one[mark] for one in marks]
        mean = statistics.mean(scores)
        floors = ", ".join(f"{name} {one[mark]:.4g}" for name, one in found[0]["report"]["floors"].items())
        also = "".join(
            f"; {name} {statistics.mean(one[name] for one in marks):.3g}" for name in ("scaled_mae", "mase")
        )
        figures.append(
            Figure(
                f"{work}, {network}, {'MSE, scaled' if mark == 'scaled_mse' else 'RMSE'}", round(mean, 4), "",
                f"{'≤' if work == 'etth1' else '<'} {target} ({peer})", mean < target, seeds,
                f"± {spread(scores):.4f} sd; floors: {floors}{also}; {minutes:.1f} min a run",
            )
        )  # fmt: skip
        print(figures[-1].line(), flush=True)
    return figures


def main() -> None:
    about = (
        "Trained by `workbench train` on the CPU; the best checkpoint by validation on the test steps, which "
        "are the latest. ETTh1: horizon 96, look-back 336, all variates, 12/4/4 months. The others: one step "
        "ahead on the last third, in their own units. Presets: as shipped, twelve months of sunspots."
    )
    report("series", about, measured(str(__doc__), [*WORKS, "presets"], measure))


if __name__ == "__main__":
    main()
