"""From the worker's write to the pixel, and what fifty viewers cost the app server.

    python -m benchmarks.live_latency [flips] [seconds]

The browser part writes a curve that jumps between two levels, and a stack of filters that turns from
blue to red, and looks at the pixels themselves in every animation frame; the time is taken in the
frame after, when the picture has been presented. The viewers part connects scripted viewers to the
stream of a run that writes as a training does (five flushes a second, pictures twice a second).
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import websockets
from playwright.sync_api import Page, sync_playwright

from benchmarks.report import Figure, percentile, report
from tests.live import trainer
from workbench.live import wire
from workbench.records import Scalars, Tiles
from workbench.store import Store, open_store

VIEWERS = 50
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

# Watches one canvas: is the colour there (curve: at its right edge near the top; filters: in the corner)?
PROBE = """([selector, kind]) => {
    window.seen = [];
    let last = null;
    const look = () => {
        const canvas = document.querySelector(selector);
        if (canvas && canvas.width > 60) {
            const ctx = canvas.getContext("2d");
            let high;
            if (kind === "curve") {
                const x = canvas.width - 12 - 5, d = ctx.getImageData(x, 8, 5, 60).data;
                high = false;
                for (let i = 0; i < d.length; i += 4) high ||= d[i + 3] > 120 && d[i + 2] > 180 && d[i] < 110;
            } else {
                const d = ctx.getImageData(8, 8, 1, 1).data;
                high = d[0] > d[2];
            }
            if (high !== last) {
                last = high;
                requestAnimationFrame(() => window.seen.push([high, Date.now() / 1000]));
            }
        }
        requestAnimationFrame(look);
    };
    look();
}"""


@contextmanager
def server() -> Iterator[tuple[str, psutil.Process, Path]]:
    """The real app server with a home of its own: (url, process, home)."""
    home = Path(tempfile.mkdtemp(prefix="workbench-bench-"))
    os.environ["WORKBENCH_HOME"] = str(home)
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.live.serve", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        yield url, psutil.Process(process.pid), home
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


def curve_point(i: int, high: bool) -> Scalars:
    now = time.time()
    return Scalars("train/loss", np.array([i]), np.array([i / 100]), np.array([now]), np.array([float(high)]))


def filter_stack(i: int, high: bool) -> Tiles:
    pixels = np.full((32, 3, 3), 255 if high else 0, np.uint8)
    ones = np.ones(32)
    return Tiles("filters/0", i, i / 100, time.time(), pixels, -ones, ones, "filter", "", 0, True)


def to_the_pixel(page: Page, url: str, store: Store, kind: str, flips: int) -> list[float]:
    """Seconds from the end of each write to the frame that shows it."""
    run = trainer.new_run(store, f"latency of the {kind}")
    trainer.claim(store, run, flips)
    record = curve_point if kind == "curve" else filter_stack
    store.flush(run, [record(1, True), record(2, False)], step=2)
    tab, selector = (
        ("curves", "section[data-panel=loss] canvas") if kind == "curve" else ("filters", ".wbl-mosaic")
    )
    page.goto(f"{url}/live?run={run}&tab={tab}")
    page.wait_for_selector(selector)
    page.wait_for_timeout(1500)
    page.evaluate(PROBE, [selector, kind])
    page.wait_for_timeout(500)
    written: list[tuple[bool, float]] = []
    chance = random.Random(1)
    for i in range(3, flips + 3):
        high = i % 2 == 1
        store.flush(run, [record(i, high)], step=i)
        written.append((high, time.time()))
        page.wait_for_timeout(chance.uniform(300, 500))
    page.wait_for_timeout(1000)
    seen: list[tuple[bool, float]] = page.evaluate("window.seen")[1:]  # the first is what was there before
    if [high for high, _ in seen] != [high for high, _ in written]:
        raise SystemExit(f"the pixels did not follow the writes: {len(seen)} of {len(written)} seen")
    store.runs.exit(run, "finished")
    return [shown - wrote for (_, shown), (_, wrote) in zip(seen, written, strict=True)]


def write_for(home: str, run: str, seconds: float) -> None:
    """Train as far as the store can tell; one key carries the time of its own writing."""
    store = open_store(Path(home))
    trainer.claim(store, run, 100_000)
    began, step, pictured = time.time(), 0, 0.0
    while time.time() - began < seconds:
        records: list[Any] = [*trainer.curves(step + 1, step + 20)]
        step += 20
        if time.time() - pictured > 0.5:
            pictured = time.time()
            records += trainer.look(step)
        stamp = np.array([time.time()])
        records.append(Scalars("stamp", np.array([step]), stamp * 0, stamp, stamp))
        store.flush(run, records, step=step, epoch=step / trainer.PER_EPOCH)
        time.sleep(0.2)
    store.close()


async def viewer(url: str, run: str, until: float, delays: list[float], volume: list[int]) -> None:
    """Read the stream; note the age of each stamp when it arrives."""
    address = url.replace("http", "ws", 1) + f"/live/ws?run={run}"
    async with websockets.connect(address, max_size=None, compression=None) as socket:
        await socket.send(json.dumps({"op": "sub", "topics": ["tiles:filters/0"]}))
        while (left := until - time.time()) > 0:
            try:
                frame = await asyncio.wait_for(socket.recv(), left)
            except TimeoutError:
                return
            now = time.time()
            volume[0] += len(frame)
            head, payload = wire.unpack(bytes(frame))
            if head["k"] != "scalars" or head["snap"]:
                continue
            at = 0
            for entry in head["series"]:
                size = 32 * entry["n"]
                if entry["key"] == "stamp":
                    values = np.frombuffer(payload[at : at + size], "<f8").reshape(4, -1)[3]
                    delays += [now - float(value) for value in values]
                at += size


def watch(url: str, run: str, count: int, seconds: float, out: Any) -> None:
    """`count` viewers in a process of their own, so that their cost is not the server's."""

    async def together() -> tuple[list[float], int]:
        delays: list[float] = []
        volume = [0]
        until = time.time() + seconds
        await asyncio.gather(*(viewer(url, run, until, delays, volume) for _ in range(count)))
        return delays, volume[0]

    out.put(asyncio.run(together()))


def with_viewers(
    url: str, process: psutil.Process, store: Store, count: int, seconds: float
) -> dict[str, float]:
    """Age of data on arrival and the server's share of a core, with `count` viewers."""
    run = trainer.new_run(store, f"{count} viewers")
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    writer = context.Process(target=write_for, args=(str(store.home), run, seconds + 6))
    watcher = context.Process(target=watch, args=(url, run, count, seconds + 3, out))
    writer.start()
    time.sleep(2)
    watcher.start()
    time.sleep(2.5)  # let all connect
    before, began = sum(process.cpu_times()[:2]), time.time()
    time.sleep(seconds - 1.5)
    used, wall = sum(process.cpu_times()[:2]) - before, time.time() - began
    delays, volume = out.get()
    watcher.join()
    writer.join()
    return {
        "p50": percentile(delays, 0.5), "p95": percentile(delays, 0.95), "n": len(delays),
        "cpu": used / wall, "kilobytes": volume / 1000 / count / (seconds + 3),
    }  # fmt: skip


def main(flips: int, seconds: float) -> None:
    with server() as (url, process, home):
        store = open_store(home)
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("chromium-browser") or "google-chrome"
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            curve = to_the_pixel(page, url, store, "curve", flips)
            filters = to_the_pixel(page, url, store, "filters", flips)
            browser.close()
        few = with_viewers(url, process, store, 1, seconds)
        many = with_viewers(url, process, store, VIEWERS, seconds)
        memory = process.memory_info().rss / 1e6
        store.close()
    ms = 1000
    p95_curve, p95_filters = ms * percentile(curve, 0.95), ms * percentile(filters, 0.95)
    report(
        "live_latency",
        "Write committed by another process to the frame that shows it (pixels read back in a real Chromium, "
        f"without a GPU), and {VIEWERS} scripted viewers of one run on one server.",
        [
            Figure("curve, write to pixel, median", ms * percentile(curve, 0.5), "ms", n=len(curve)),
            Figure("curve, write to pixel, p95", p95_curve, "ms", "< 250 ms", p95_curve < 250, len(curve)),
            Figure("filters, write to pixel, median", ms * percentile(filters, 0.5), "ms", n=len(filters)),
            Figure(
                "filters, write to pixel, p95", p95_filters, "ms", "< 250 ms", p95_filters < 250, len(filters)
            ),
            Figure("1 viewer, write to arrival, p95", ms * few["p95"], "ms", n=int(few["n"])),
            Figure("1 viewer, server's share of a core", 100 * few["cpu"], "%"),
            Figure(f"{VIEWERS} viewers, write to arrival, p95", ms * many["p95"], "ms", "< 500 ms",
                   many["p95"] < 0.5, int(many["n"])),
            Figure(f"{VIEWERS} viewers, server's share of a core", 100 * many["cpu"], "%", "< 25 %",
                   many["cpu"] < 0.25),
            Figure("data per viewer", many["kilobytes"], "kB/s", note="curves and one layer's filters"),
            Figure("app server's memory afterwards", memory, "MB", "< 300 MB", memory < 300),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60, float(sys.argv[2]) if len(sys.argv) > 2 else 20)
