"""How quick the view is: start-up, page switch in a real browser, memory, and that torch stays out.

python -m benchmarks.pages
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright

from benchmarks.launch import leave
from benchmarks.report import Figure, median, report
from workbench.store import open_store

WORKBENCH = str(Path(sys.executable).parent / "workbench")
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
ROUNDS = 5


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(home: Path, port: int) -> tuple[subprocess.Popen[bytes], float]:
    """The app, and the seconds until its health route answers."""
    began = time.monotonic()
    process = subprocess.Popen(
        [WORKBENCH, "up", "--port", str(port)],
        env={**os.environ, "WORKBENCH_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while time.monotonic() - began < 60:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                return process, time.monotonic() - began
        except OSError:
            time.sleep(0.02)
    raise SystemExit("the app did not start within 60 s")


def server(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The process that holds the pages: `up` itself or the largest of its children that serve."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    serving = [p for p in family if any(c.status == psutil.CONN_LISTEN for c in p.net_connections("tcp"))]
    return max(serving or family, key=lambda p: p.memory_info().rss)


def switch(page: Page, label: str, heading: str) -> float:
    """Milliseconds from the click on a page's name to its heading."""
    link = page.get_by_test_id("stSidebarNavLink").filter(has_text=label)
    script = """([heading]) => new Promise(done => {
        const began = performance.now(), title = () => [...document.querySelectorAll('h1')].find(
            h => h.textContent.trim().startsWith(heading) && h.offsetParent);
        const look = () => title() ? done(performance.now() - began) : requestAnimationFrame(look);
        look();
    })"""
    waiting = f"window.__switch = ({script})({[heading]!r})"
    link.evaluate(f"(element) => {{ element.click(); {waiting}; }}")
    return float(page.evaluate("window.__switch"))


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait(timeout=15)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home, port = Path(folder), free_port()
        first, cold = start(home, port)
        stop(first)
        app, again = start(home, port)
        try:
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                began = time.monotonic()
                page.goto(f"http://127.0.0.1:{port}/")
                page.locator("h1").first.wait_for()
                opened = again + time.monotonic() - began
                links = page.get_by_test_id("stSidebarNavLink").all()
                names = [link.inner_text().split()[-1] for link in links]  # the icon's name comes first
                headings: dict[str, str] = {}
                for name in names:  # once to learn each page's heading, and to fetch its assets
                    page.get_by_test_id("stSidebarNavLink").filter(has_text=name).click()
                    page.wait_for_timeout(1500)
                    headings[name] = page.locator("h1").first.inner_text().strip()
                times = [switch(page, name, headings[name]) for _ in range(ROUNDS) for name in names]
                browser.close()
            holder = server(app)
            memory = holder.memory_info().rss / 2**20
            torch = any("libtorch" in m.path for m in holder.memory_maps())
        finally:
            stop(app)
            leave(open_store(home))
    report(
        "pages",
        "One app server, one Chromium; a switch is measured in the browser from the click to the heading.",
        [
            Figure("start to health, first", cold, "s"),
            Figure("started again, to the first page's heading", opened, "s", "< 5 s", opened < 5),
            Figure("page switch, median", median(times), "ms", "< 300 ms", median(times) < 300, len(times)),
            Figure("page switch, slowest", max(times), "ms", n=len(times)),
            Figure("app server's memory after the walk", memory, "MiB", "< 300 MiB", memory < 300),
            Figure("torch in the app server", float(torch), "", "no", not torch),
        ],
    )


if __name__ == "__main__":
    main()
