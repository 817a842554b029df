"""How a benchmark says what it found: figures with targets, on a named machine, as JSON and as text.

Each benchmark is a script that ends by calling `report(...)`. `python -m benchmarks.run` starts them
one after another and writes `docs/benchmarks.md` from what they print.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

MARK = "BENCHMARK "


@dataclass(frozen=True)
class Figure:
    """One measured number. `met` is None where there is no target to meet."""

    what: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None
    n: int = 1
    note: str = ""

    def line(self) -> str:
        verdict = {True: "met", False: "NOT MET", None: ""}[self.met]
        parts = [f"{self.what}: {number(self.value)} {self.unit}".strip(), f"n={self.n}"]
        if self.target:
            parts.append(f"target {self.target}: {verdict}")
        if self.note:
            parts.append(self.note)
        return " · ".join(parts)


def number(value: float) -> str:
    """Three significant digits, thousands grouped."""
    if value != value:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine() -> str:
    """Processor, cores and the versions that matter, on one line."""
    packages = []
    for name in ("torch", "streamlit", "numpy"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {processor()}, Python {platform.python_version()}, {', '.join(packages)}"


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def report(name: str, about: str, figures: list[Figure]) -> None:
    """Print the figures for people, then one machine-readable line."""
    for figure in figures:
        print(f"  {figure.line()}")
    result = {"name": name, "about": about, "machine": machine(), "figures": [asdict(f) for f in figures]}
    print(MARK + json.dumps(result), flush=True)


def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


if __name__ == "__main__":
    print(machine(), file=sys.stderr)
