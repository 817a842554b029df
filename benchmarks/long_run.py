"""A run with very many steps, and an app that serves its home."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.pages import free_port
from workbench.records import Scalars
from workbench.specs.presets import PRESETS
from workbench.store import Store

KEYS = (
    "train/loss", "train/accuracy", "val/loss", "val/accuracy", "lr", "grad_norm", "telemetry/share",
    "throughput/samples_per_s", "system/cpu_percent", "system/memory_mb",
)  # fmt: skip
CHUNK = 10_000  # points a flush


def long_run(store: Store, keys: tuple[str, ...], steps: int) -> str:
    """A run with `steps` points of each key, one spike and one NaN among them."""
    run_id = store.runs.create(PRESETS["mlp-tiny"].spec.model_copy(update={"name": f"{steps:,} steps"})).id
    rng = np.random.default_rng(0)
    for start in range(0, steps, CHUNK):
        at = np.arange(start, start + CHUNK) + 1
        values = rng.normal(size=CHUNK)
        if start <= steps // 2 < start + CHUNK:
            values[[5, 77]] = 1e6, np.nan
        store.flush(
            run_id, [Scalars(key, at, at / 71, 1e9 + at / 100, values) for key in keys], step=int(at[-1])
        )
    store.runs.exit(run_id, "finished")
    return run_id


@contextmanager
def app_server(home: Path) -> Iterator[str]:
    """The app on `home`; its address."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "workbench.live.serve", str(port)],
        env={**os.environ, "WORKBENCH_HOME": str(home)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until_up(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=15)


def _until_up(base: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{base}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the app did not start within 60 s")
