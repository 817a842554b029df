"""How long from pressing "train" until the first step's loss is in the store, with and without a
supervisor already up. Preset cnn-mnist on the Fashion-MNIST sample.

Warm: the supervisor is there and idle. Cold: none is there, so torch has to be loaded first; the files
are in the disk cache. A run is stopped as soon as it has logged, and its end is not in the time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from benchmarks.report import Figure, median, report
from workbench.jobs import answers, runs
from workbench.jobs.launch import supervisor
from workbench.specs.presets import preset
from workbench.store import Store, open_store

WARM_TARGET_S = 1.0
COLD_TARGET_S = 8.0
PATIENCE_S = 60.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--warm", type=int, default=9)
    arguments.add_argument("--cold", type=int, default=3)
    chosen = arguments.parse_args()
    home = Path(tempfile.mkdtemp(prefix="workbench-launch-"))
    os.environ["WORKBENCH_HOME"] = str(home)
    store = open_store()
    try:
        runs.check(store, preset("cnn-mnist").spec)  # writes the shipped data into the home
        cold = []
        for _ in range(chosen.cold):
            leave(store)
            cold.append(launch(store))
        answers.ask(store, "ping", {})
        warm = [launch(store) for _ in range(chosen.warm)]
    finally:
        leave(store)
        store.close()
        shutil.rmtree(home, ignore_errors=True)
    report(
        "launch",
        "From `submit` to the first loss of cnn-mnist in the store, on the Fashion-MNIST sample.",
        [
            Figure(
                "Supervisor up, median", median(warm), "s", f"< {WARM_TARGET_S:g} s",
                median(warm) < WARM_TARGET_S, len(warm), f"worst {max(warm):.2f} s",
            ),
            Figure(
                "No supervisor, median", median(cold), "s", f"< {COLD_TARGET_S:g} s",
                median(cold) < COLD_TARGET_S, len(cold), f"worst {max(cold):.2f} s",
            ),
        ],
    )  # fmt: skip


def launch(store: Store) -> float:
    """Seconds from submit to the first train/loss in the store."""
    began = time.perf_counter()
    run_id = runs.submit(store, preset("cnn-mnist").spec)
    while True:
        taken = time.perf_counter() - began
        if any(part.key == "train/loss" for part in store.scalars.since(run_id)[0]):
            break
        row = store.runs.get(run_id)
        if row.state.is_over or taken > PATIENCE_S:
            raise SystemExit(f"the run did not log a step: {row.state}, {row.error}")
        time.sleep(0.005)
    runs.stop(store, run_id)
    while not store.runs.get(run_id).state.is_over:
        time.sleep(0.05)
    time.sleep(0.2)
    return taken


def leave(store: Store, patience_s: float = 10.0) -> None:
    """Ask this home's supervisor to leave and wait until it has."""
    deadline = time.monotonic() + patience_s
    while (present := supervisor(store)) and time.monotonic() < deadline:
        os.kill(present.pid, signal.SIGTERM)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
