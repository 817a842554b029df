"""TensorBoard on the very points of a run: how long until they can be seen, and what is left of them.

python -m benchmarks.tensorboard_peer [steps]     by itself; `benchmarks.scale` calls `figures`
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import websockets

from benchmarks.long_run import KEYS, app_server, long_run
from benchmarks.pages import free_port
from benchmarks.report import Figure, median
from workbench.live import wire
from workbench.store import Store, open_store
from workbench.worker.eventfile import EventFile

SPIKE = 1e6  # what benchmarks.long_run puts among a million ordinary values, once a key, beside one NaN
PATIENCE_S = 600.0
ROUNDS = 5


def figures(store: Store, run: str, base: str, keys: Sequence[str], steps: int) -> list[Figure]:
    """Ours over the socket of the app at `base`, TensorBoard's over its own server; the same points."""
    ours_s, ours_bytes, ours_kept = asyncio.run(first_view(base, run))
    with tempfile.TemporaryDirectory() as folder:
        size = write(store, run, Path(folder))
        began = time.perf_counter()
        with tensorboard(Path(folder)) as url:
            answers = {key: _whole(url, key, steps) for key in keys}
            loaded = time.perf_counter() - began
            rounds = [_all(url, keys) for _ in range(ROUNDS)]
    answer_s, sent = median([took for took, _ in rounds]), rounds[-1][1]
    spikes, nans = (sum(part[i] for part in map(_kept, answers.values())) for i in (0, 1))
    n, what = len(keys), f"{len(keys)} keys × {steps:,} steps"
    ours_all = ours_kept == (n, n)
    return [
        Figure(f"{what}: app's socket, connect to curves", ours_s, "s", "< 1 s", ours_s < 1.0),
        Figure(f"{what}: the same in TensorBoard, from its start", loaded, "s",
               note=f"{size / 1e6:.0f} MB of event files, its fast data server"),
        Figure("TensorBoard, once loaded: answer for all keys", 1000 * answer_s, "ms", n=ROUNDS),
        Figure("app's socket: bytes for all keys", ours_bytes / 1e3, "kB"),
        Figure("TensorBoard: bytes for all keys", sent / 1e3, "kB", note="1,000 points a key, drawn by lot"),
        Figure("spikes and NaNs seen over the app's socket", sum(ours_kept), "", f"{2 * n} of {2 * n}",
               ours_all, n),
        Figure("spikes and NaNs seen in TensorBoard", spikes + nans, "", n=n,
               note=f"of {2 * n}: {spikes} spikes, {nans} NaNs"),
    ]  # fmt: skip


async def first_view(base: str, run: str) -> tuple[float, int, tuple[int, int]]:
    """Seconds from the connection to the curves, their bytes, and how many keys hold (spike, NaN)."""
    began = time.perf_counter()
    address = f"{base.replace('http', 'ws', 1)}/live/ws?run={run}"
    async with websockets.connect(address, max_size=None, compression=None) as socket:
        async for frame in socket:
            assert isinstance(frame, bytes)
            head, payload = wire.unpack(frame)
            if head["k"] == "scalars":
                took = time.perf_counter() - began
                break
    spikes = nans = at = 0
    for entry in head["series"]:
        values = np.frombuffer(payload[at : at + 32 * entry["n"]], "<f8").reshape(4, -1)[3]
        at += 32 * entry["n"]
        spikes += bool((values == SPIKE).any())
        nans += bool(np.isnan(values).any())
    return took, len(frame), (spikes, nans)


def write(store: Store, run: str, folder: Path) -> int:
    """The run's scalars as one event file; its size."""
    file, cursor = EventFile(folder), 0
    while True:
        parts, cursor = store.scalars.since(run, cursor, 100)
        if not parts:
            break
        file.scalars(parts)
    file.close()
    return file.path.stat().st_size


@contextmanager
def tensorboard(folder: Path) -> Any:
    """TensorBoard as its users start it; its address."""
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*command, "--host", "127.0.0.1"], env={**os.environ}, **quiet) as process:  # type: ignore[call-overload]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _scalars(url: str, key: str) -> bytes:
    question = urllib.parse.urlencode({"run": ".", "tag": key})
    with urllib.request.urlopen(f"{url}/data/plugin/scalars/scalars?{question}", timeout=60) as answer:
        return bytes(answer.read())


def _whole(url: str, key: str, steps: int) -> bytes:
    """The answer for a key as soon as it reaches to the last step."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            answer = _scalars(url, key)
            if json.loads(answer)[-1][1] >= steps:
                return answer
        except (OSError, urllib.error.HTTPError, IndexError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"TensorBoard did not load {key} within {PATIENCE_S:g} s")


def _all(url: str, keys: Sequence[str]) -> tuple[float, int]:
    began = time.perf_counter()
    size = sum(len(_scalars(url, key)) for key in keys)
    return time.perf_counter() - began, size


def _kept(answer: bytes) -> tuple[bool, bool]:
    """Whether the spike and the NaN are among the points: rows of (wall time, step, value)."""
    values = [float(row[2]) for row in json.loads(answer)]
    return any(value == SPIKE for value in values), any(math.isnan(value) for value in values)


def main(steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        run = long_run(store, KEYS, steps)
        with app_server(Path(folder)) as base:
            for figure in figures(store, run, base, KEYS, steps):
                print(figure.line())
        store.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
