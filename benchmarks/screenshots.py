"""`make screenshots`: docs/screenshots/ made anew from the running product, in light and dark.

A real server with a home of its own, a real training, a real Chromium.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.launch import leave
from benchmarks.pages import CHROMIUM, free_port, start, stop
from benchmarks.pages import WORKBENCH as COMMAND
from workbench.store import open_store

OUT = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
WIDE, NARROW = (1440, 900), (800, 900)


def command(home: Path, *words: str) -> str:

    environment = {**os.environ, "WORKBENCH_HOME": str(home)}
    done = subprocess.run([COMMAND, *words], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()[0] if done.stdout.split() else ""


def shoot(page: Page, url: str, name: str, settle: str | None = None) -> None:
    page.goto(url)
    page.locator("h1, .wbl[data-kind=status]").first.wait_for(timeout=30_000)
    if settle:
        page.locator(settle).first.wait_for(timeout=30_000)
    page.wait_for_timeout(3000)
    page.screenshot(path=str(OUT / f"{name}.png"))


def walk(
    browser: Browser, base: str, run: str, ended: str, size: tuple[int, int], scheme: str, mark: str
) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)  # type: ignore[arg-type]
    for name, path in {
        "home": "",
        "data": "data",
        "model": "model",
        "train": "train",
        "live-curves": f"live?run={run}&tab=curves",
        "live-filters": f"live?run={run}&tab=filters",
        "live-maps": f"live?run={run}&tab=maps",
        "live-predictions": f"live?run={run}&tab=predictions",
        "runs": "runs",
        "predict": f"predict?run={ended}",
    }.items():
        shoot(page, f"{base}/{path}", f"{name}{mark}", "canvas" if name.startswith("live-") else None)
    page.close()


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home, port = Path(folder), free_port()
        app, _ = start(home, port)
        base = f"http://127.0.0.1:{port}"
        try:
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
                page = browser.new_page(viewport={"width": WIDE[0], "height": WIDE[1]})
                shoot(page, base, "home-new")
                page.close()
                ended = command(home, "train", "cnn-digits", "--set", "training.epochs=4")
                run = command(home, "train", "cnn-mnist", "--detach", "--set", "training.epochs=60",
                              "--name", "CNN on Fashion-MNIST")  # fmt: skip
                store = open_store(home)
                deadline = time.monotonic() + 120
                while store.runs.get(run).epoch < 2.2 and time.monotonic() < deadline:
                    time.sleep(0.5)
                walk(browser, base, run, ended, WIDE, "light", "")
                walk(browser, base, run, ended, WIDE, "dark", "-dark")
                walk(browser, base, run, ended, NARROW, "light", "-800")
                command(home, "stop", run)
                browser.close()
        finally:
            stop(app)
            leave(open_store(home))
    print(f"{len(list(OUT.glob('*.png')))} pictures in {OUT}")


if __name__ == "__main__":
    main()
