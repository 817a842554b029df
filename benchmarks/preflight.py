"""The preflight of every preset through the warm answering process: how long it takes, and how near the
predicted memory is to the measured.

Seconds are those of a person: from the question to the answer. CPU seconds are the trial's own, of all its
threads, so that a busy machine shows. `--only NAME` measures some presets.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.launch import leave
from benchmarks.report import Figure, median, report
from workbench.jobs import answers, trials
from workbench.jobs.check import check
from workbench.specs.presets import PRESETS, preset
from workbench.store import Store, open_store

TARGET_S = 3.0
WITHIN = 0.15


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", nargs="*", default=list(PRESETS))
    arguments.add_argument("--times", type=int, default=3)
    chosen = arguments.parse_args()
    home = Path(tempfile.mkdtemp(prefix="workbench-preflight-"))
    os.environ["WORKBENCH_HOME"] = str(home)
    store = open_store()
    figures = []
    try:
        check(store, preset("mlp-tiny").spec)  # writes the shipped data into the home
        answers.ask(store, "ping", {})
        trials.result(store, "preflight", preset("mlp-tiny").spec)
        for name in chosen.only:
            figures += figures_of(name, [measure(store, name) for _ in range(chosen.times)])
            for figure in figures[-2:]:
                print(f"  {figure.line()}", flush=True)
    finally:
        leave(store)
        store.close()
        shutil.rmtree(home, ignore_errors=True)
    report(
        "preflight",
        "A few real steps of each preset on its own data, asked of the warm process: seconds until the "
        "answer, and predicted over measured peak memory. The machine's load average meanwhile was "
        f"{os.getloadavg()[1]:.1f}, the benchmark's own included.",
        figures,
    )


def figures_of(name: str, found: list[tuple[float, float, dict[str, Any]]]) -> list[Figure]:
    """How long it took, and how good the prediction was."""
    took = median([seconds for seconds, _, _ in found])
    worst = max(seconds for seconds, _, _ in found)
    cpu = median([seconds for _, seconds, _ in found])
    result = found[-1][2]
    ratio = result["predicted"]["total"] / result["memory"]["total"]
    step = f"an update takes {result['step_s'] * 1e3:.3g} ms"
    peak = f"{result['memory']['total'] / 1e6:,.0f} MB measured, at the {result['memory']['at']}"
    return [
        Figure(
            f"{name}, answer", took, "s", f"< {TARGET_S:g} s", took < TARGET_S, len(found),
            f"worst {worst:.2f} s, {cpu:.2g} s of CPU; {step}",
        ),
        Figure(
            f"{name}, predicted / measured", ratio, "", f"± {WITHIN:.0%}", abs(ratio - 1) <= WITHIN, 1, peak
        ),
    ]  # fmt: skip


def measure(store: Store, name: str) -> tuple[float, float, dict[str, Any]]:
    """Seconds, CPU seconds of the trial's process, and its result."""
    answering = psutil.Process(answers.ask(store, "ping", {})["pid"])
    idle = {child.pid for child in answering.children(recursive=True)}
    began, cpu = time.perf_counter(), 0.0
    found = trials.begin(store, "preflight", preset(name).spec, again=True)
    while found["state"] == "running":
        time.sleep(0.02)
        with contextlib.suppress(psutil.Error):
            for child in answering.children(recursive=True):
                if child.pid not in idle:
                    times = child.cpu_times()
                    cpu = max(cpu, times.user + times.system)
        found = trials.look(store, found["id"])
    taken = time.perf_counter() - began
    if found["state"] != "done":
        raise SystemExit(f"{name}: {found['state']}: {found['problems']}")
    return taken, cpu, found["result"]


if __name__ == "__main__":
    main()
