"""Twenty queued runs and fifty viewers for an hour: does anything grow that should not?

    python -m benchmarks.soak [minutes] [browsers]

A real home: `workbench up`, its supervisor, runs one after another with twenty in the queue all the
time. Fifty scripted viewers hold real WebSockets: they follow the run at work, switch to others, zoom,
let go properly or by a reset, and come back with their cursor. Browsers (real Chromium tabs, one by
default) go from page to page meanwhile. Memory, open files, threads and subscriptions of the app, the
supervisor and the answering process are sampled every few seconds; flat means that the median of the
last stretch lies within 10 % of that of the stretch after the warm-up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import random
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import websockets
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from benchmarks.pages import CHROMIUM
from benchmarks.report import Figure, median, report
from tests.chaos.house import House
from tests.chaos.specs import victims
from tests.processes import processes_of
from workbench.jobs import runs as jobs
from workbench.records import RunState
from workbench.store import Store

QUEUED = 20
VIEWERS = 50
SAMPLE_S = 2.0
TOPICS = ["log", "tiles:filters/0", "tiles:maps/0@1", "panel:confusion", "panel:samples"]
PAGES = ("live?run={run}", "runs", "train", "compare", "model", "data", "predict", "")
STRETCH = 0.15  # of the time: what is compared is the stretch after the warm-up and the last one
WARM_UP = 0.25


# ---------------------------------------------------------------- viewers, in a process of their own


def look(url: str, seconds: float, browsers: int, pipe: Any) -> None:
    """All viewers, until the time is up. `pipe` brings which runs there are and takes what was counted."""
    counted = {"connections": 0, "frames": 0, "refused": 0, "pages": 0}
    asyncio.run(_together(url, time.monotonic() + seconds, browsers, pipe, counted))
    pipe.send(counted)


async def _together(url: str, until: float, browsers: int, pipe: Any, counted: dict[str, int]) -> None:
    runs: dict[str, list[str]] = {"working": [], "others": []}

    async def news() -> None:
        while time.monotonic() < until:
            while pipe.poll():
                runs.update(pipe.recv())
            await asyncio.sleep(0.5)

    viewers = [_viewer(url, random.Random(n), until, runs, counted) for n in range(VIEWERS)]
    tabs = [_browse(url, until, runs, counted)] if browsers else []
    await asyncio.gather(news(), *viewers, *tabs)


async def _viewer(
    url: str, rng: random.Random, until: float, runs: dict[str, list[str]], counted: dict[str, int]
) -> None:
    """One person: looks for some seconds, then at another run or at the same again."""
    run, cursor = "", ""
    while time.monotonic() < until:
        choice = runs["working"] if rng.random() < 0.7 else runs["others"]
        if not choice:
            await asyncio.sleep(0.5)
            continue
        before, run = run, rng.choice(choice)
        cursor = cursor if run == before else ""
        address = f"{url.replace('http', 'ws', 1)}/live/ws?run={run}&cursor={cursor}"
        leave = min(until, time.monotonic() + rng.uniform(2, 25))
        try:
            async with websockets.connect(address, max_size=None, open_timeout=20) as connection:
                counted["connections"] += 1
                await connection.send(json.dumps({"op": "sub", "topics": rng.sample(TOPICS, 3)}))
                while (left := leave - time.monotonic()) > 0:
                    try:
                        frame = await asyncio.wait_for(connection.recv(), min(left, 2.0))
                    except TimeoutError:
                        await connection.send(
                            json.dumps(
                                {
                                    "op": "range",
                                    "key": "train/loss",
                                    "x": "step",
                                    "lo": 0,
                                    "hi": 500,
                                    "px": 300,
                                }
                            )
                        )
                        continue
                    counted["frames"] += 1
                    cursor = _cursor(bytes(frame)) or cursor
                if rng.random() < 0.3:
                    connection.transport.abort()  # the lid of the laptop
        except (OSError, TimeoutError, websockets.WebSocketException):
            counted["refused"] += 1
            await asyncio.sleep(0.5)


def _cursor(frame: bytes) -> str | None:
    head = json.loads(frame[4 : 4 + int.from_bytes(frame[:4], "little")])
    return str(head["cursor"]) if head["k"] == "scalars" else None


async def _browse(url: str, until: float, runs: dict[str, list[str]], counted: dict[str, int]) -> None:
    """A real tab that goes from page to page, each time as a new visitor."""
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        number = 0
        while time.monotonic() < until:
            run = (runs["working"] or runs["others"] or [""])[0]
            page = await browser.new_page()
            with contextlib.suppress(PlaywrightError):
                await page.goto(f"{url}/{PAGES[number % len(PAGES)].format(run=run)}", timeout=20_000)
                await page.wait_for_timeout(4000)
                counted["pages"] += 1
            await page.close()
            number += 1
        await browser.close()


# ---------------------------------------------------------------- samples


@dataclass
class Series:
    """What was sampled of one process. Bytes and counts, against seconds since the start."""

    pids: set[int] = field(default_factory=set)
    rows: list[dict[str, float]] = field(default_factory=list)

    def sample(self, pid: int | None, now: float) -> None:
        if pid is None:
            return
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            memory = process.memory_full_info()
            self.pids.add(pid)
            self.rows.append(
                {
                    "time": now, "rss": memory.rss, "pss": memory.pss, "uss": memory.uss,
                    "files": process.num_fds(), "threads": process.num_threads(),
                    "sockets": len(process.net_connections("all")),
                }
            )  # fmt: skip

    def stretch(self, what: str, begin: float, end: float) -> float:
        values = [row[what] for row in self.rows if begin <= row["time"] <= end]
        return median(values) if values else float("nan")

    def growth(self, what: str, seconds: float) -> tuple[float, float, float]:
        """(after the warm-up, at the end, their ratio)."""
        first = self.stretch(what, WARM_UP * seconds, (WARM_UP + STRETCH) * seconds)
        last = self.stretch(what, (1 - STRETCH) * seconds, seconds)
        return first, last, last / first if first else float("nan")


def subscriptions(house: House) -> tuple[int, int]:
    """Runs watched and viewers, as the app itself counts them."""
    with urllib.request.urlopen(f"{house.url}/live/status", timeout=10) as answer:
        runs = json.load(answer)["runs"]
    return len(runs), sum(run["viewers"] for run in runs.values())


def feed(store: Store, specs: list[Any], submitted: list[str]) -> dict[str, list[str]]:
    """Keep the queue at twenty; the runs to look at."""
    rows = store.runs.many(submitted)
    for _ in range(QUEUED - sum(row.state is RunState.QUEUED for row in rows)):
        submitted.append(jobs.submit(store, specs[len(submitted) % len(specs)]))
    rows = store.runs.many(submitted)
    others = [row.id for row in rows if row.state.is_over][-8:]
    others += [row.id for row in rows if row.state is RunState.QUEUED][:2]
    return {"working": [row.id for row in rows if row.at_work and not row.state.is_over], "others": others}


def main(minutes: float, browsers: int) -> None:
    seconds = 60 * minutes
    context = multiprocessing.get_context("spawn")
    app, supervisor, answering = Series(), Series(), Series()
    processes: list[float] = []
    watched: list[int] = []
    with tempfile.TemporaryDirectory() as folder, House(Path(folder) / "home") as house:
        store, submitted, specs = house.store, list[str](), victims(1.5)
        house.ensure(60.0)
        ours, theirs = context.Pipe()
        crowd = context.Process(target=look, args=(house.url, seconds, browsers, theirs))
        crowd.start()
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            ours.send(feed(store, specs, submitted))
            for series, pid in (
                (app, house.app_pid), (supervisor, house.supervisor_pid()), (answering, house.answers_pid())
            ):  # fmt: skip
                series.sample(pid, now)
            processes.append(len(processes_of(house.home)) - len(house.run_processes()))
            watched.append(subscriptions(house)[1])
            time.sleep(SAMPLE_S)
        counted = ours.recv() if ours.poll(60) else {}
        crowd.join(30)
        time.sleep(5.0)
        left = subscriptions(house)
        rest = Series()
        rest.sample(house.app_pid, 0.0)
        zombies = house.zombies()
        rows = store.runs.many(submitted)
        ended = [row for row in rows if row.state.is_over]
        bad = [row for row in ended if row.state is not RunState.FINISHED]
        for row in rows:
            with contextlib.suppress(Exception):
                jobs.stop(store, row.id)
        over = _wait_for_the_end(store, submitted)
        remaining = house.leave()
    report(
        "soak",
        f"{minutes:g} minutes: {QUEUED} runs in the queue all the time, {VIEWERS} viewers on WebSockets who "
        f"switch, zoom and reconnect, {browsers} real browser(s) going from page to page. Compared are "
        f"medians: of {100 * STRETCH:.0f} % of the time after the first {100 * WARM_UP:.0f} %, and of the "
        "last.",
        [
            *_memory("app", app, seconds),
            *_memory("supervisor", supervisor, seconds),
            *_memory("answering process", answering, seconds),
            *_handles("app", app, seconds),
            *_handles("supervisor", supervisor, seconds),
            Figure("most viewers at a time", max(watched), "", n=len(watched)),
            Figure("subscriptions left when all viewers had gone", sum(left), "", "0", sum(left) == 0),
            Figure("open files of the app afterwards", rest.rows[0]["files"], ""),
            Figure("processes besides the runs", max(processes[len(processes) // 4 :]), "", "4",
                   max(processes[len(processes) // 4 :]) <= 4, len(processes),
                   "app, supervisor, answering, nursery"),
            Figure("restarts of app, supervisor or answering process",
                   len(app.pids) + len(supervisor.pids) + len(answering.pids) - 3, "", "0",
                   len(app.pids) + len(supervisor.pids) + len(answering.pids) == 3),
            Figure("runs ended", len(ended), "", n=len(submitted), note="the rest was stopped at the end"),
            Figure("of these not finished", len(bad), "", "0", not bad),
            Figure("zombies, runs that did not stop, processes left over",
                   len(zombies) + (not over) + len(remaining), "", "0",
                   not zombies and over and not remaining),
            Figure("connections made", counted.get("connections", 0), "",
                   note=f"{counted.get('frames', 0):,} frames, {counted.get('pages', 0)} pages"),
            Figure("connections refused or broken off by the app", counted.get("refused", 0), "", "0",
                   counted.get("refused", 0) == 0),
        ],
    )  # fmt: skip


def _wait_for_the_end(store: Store, submitted: list[str]) -> bool:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        if all(row.state.is_over for row in store.runs.many(submitted)):
            return True
        time.sleep(0.2)
    return False


def _memory(who: str, series: Series, seconds: float) -> list[Figure]:
    """RSS decides: what is shared with forked children moves PSS and USS whenever a run comes or goes."""
    grown = {what: series.growth(what, seconds) for what in ("rss", "pss", "uss")}
    ratio = grown["rss"][2]
    note = ", ".join(f"{w.upper()} {a / 1e6:.0f} → {b / 1e6:.0f}" for w, (a, b, _) in grown.items()) + " MB"
    tenths = [series.stretch("rss", i * seconds / 10, (i + 1) * seconds / 10) / 1e6 for i in range(10)]
    note += f"; RSS by tenths of the time: {', '.join(f'{value:.0f}' for value in tenths)}"
    what = f"{who}: memory at the end over after the warm-up"
    return [Figure(what, ratio, "", "0.9–1.1", 0.9 <= ratio <= 1.1, len(series.rows), note)]


def _handles(who: str, series: Series, seconds: float) -> list[Figure]:
    found = []
    for what in ("files", "threads"):
        first, last, _ = series.growth(what, seconds)
        flat = abs(last - first) <= max(3.0, 0.1 * first)
        note = f"{first:.0f} → {last:.0f}"
        found.append(Figure(f"{who}: {what} open at the end, median", last, "", "± 10 % or 3", flat,
                            len(series.rows), note))  # fmt: skip
    return found


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
