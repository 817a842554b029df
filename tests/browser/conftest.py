"""The real server on a free port with a home of its own, and a real Chromium."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright
from playwright.sync_api import Error as BrowserError

from tests.live import trainer
from workbench import catalog
from workbench.store import Store, open_store

REPO = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
START_S = 60
KEPT = "cookies,local_storage,indexeddb,service_workers,cache_storage"  # by a page, in the browser
PATIENCE_MS = 120_000  # on a busy machine a page takes its time
expect.set_options(timeout=60_000)
NOTES = pytest.StashKey[list[str]]()  # what went wrong in a page, told when its test fails


@dataclass(frozen=True)
class App:
    """A running workbench: where it answers, where its runs live, and its server process."""

    url: str
    home: Path
    server: subprocess.Popen[str]

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.home)


def environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("WORKBENCH_STORE", "WORKBENCH_ARTIFACTS")}
    return {**kept, "WORKBENCH_HOME": str(home), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def port() -> int:
    """Where all servers answer, one after the other: to the browser they are the same place.

    Below those that the system gives to outgoing connections, one of which might hold it between two servers.
    """
    while True:
        wanted = random.randrange(20_000, 32_000)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", wanted))
            return wanted


@pytest.fixture(scope="module")
def app(port: int) -> Iterator[App]:
    """One server a module; everything it started is gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="workbench-test-"))
    with contextlib.closing(open_store(home)) as opened:
        catalog.prepare_all(opened)
    server = subprocess.Popen(
        [sys.executable, "-m", "workbench.live.serve", str(port)],
        cwd=REPO,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert server.stdout is not None
        for line in server.stdout:
            lines.append(line)
            if "http://" in line:
                ready.set()
        ready.set()  # it ended

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    ready.wait(START_S)
    url = next((word for line in lines for word in line.split() if word.startswith("http://")), None)
    if url is None:
        server.kill()
        pytest.fail(f"the server did not start:\n{''.join(lines)}")
    try:
        yield App(url, home, server)
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        if server.poll() is None:
            server.kill()
            server.wait()
        reader.join(5)
        assert server.stdout is not None
        server.stdout.close()
        end_everything_of(home)
        shutil.rmtree(home, ignore_errors=True)


def end_everything_of(home: Path) -> None:
    """Kill the supervisor and the runs of this home, and nothing else."""
    ours = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("WORKBENCH_HOME") == str(home) and process.pid != os.getpid():
                ours.append(process)
    for process in ours:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(ours, timeout=5)


@pytest.fixture
def store(app: App) -> Iterator[Store]:
    """The store that the server reads."""
    opened = open_store(app.home)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium() -> str:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    return path


@pytest.fixture(scope="session")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    """For who needs a second visitor, or one of other eyes."""
    started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
    yield started
    started.close()


@pytest.fixture(scope="session")
def window(
    playwright: Playwright, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """A browser that keeps Streamlit's files, and what it compiled of them: half the work of a page."""
    opened = playwright.chromium.launch_persistent_context(
        tmp_path_factory.mktemp("profile"), executable_path=chromium, args=FLAGS,
        viewport={"width": 1400, "height": 1000},
    )  # fmt: skip
    yield opened
    opened.close()


@pytest.fixture
def page(window: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh visitor: no cookie, nothing stored. Errors that our scripts throw fail the test."""
    fresh = window.new_page()
    fresh.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    notes = request.node.stash[NOTES] = []
    been: set[str] = set()
    fresh.on("pageerror", lambda error: errors.append(str(error)))
    fresh.on("requestfailed", lambda asked: notes.append(f"{asked.url}: {asked.failure}"))
    fresh.on("console", lambda told: told.type == "error" and notes.append(told.text))
    fresh.on("framenavigated", lambda frame: been.add("://".join(urlsplit(frame.url)[:2])))
    yield fresh
    forgetting = window.new_cdp_session(fresh)
    for origin in been:
        forgetting.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": KEPT})
    fresh.close()
    window.clear_cookies()
    assert not errors, errors


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails tells what its page was showing."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and isinstance(page, Page):
        told = [page.url, *item.stash.get(NOTES, [])[-10:]]
        with contextlib.suppress(BrowserError):
            app = page.locator("[data-testid=stApp]")
            told += [
                f"{name}: {app.get_attribute(f'data-test-{name}-state', timeout=3000)}"
                for name in ("script", "connection")
            ]
            told.append(f"skeletons: {page.locator('[data-testid=stSkeleton]').count()}")
            told.append(page.locator("body").inner_text(timeout=3000)[:1500])
        report.sections.append(("what the page showed", "\n".join(told)))
    return report


@pytest.fixture
def trained(app: App, store: Store) -> Iterator[str]:
    """A run that is being trained by another process while the test looks at it."""
    run = trainer.new_run(store, "being watched")
    command = [
        sys.executable,
        "-m",
        "tests.live.trainer",
        run,
        "--seconds",
        "280",
        "--rate",
        "60",
        "--pictures",
        "0.4",
    ]
    process = subprocess.Popen(command, cwd=REPO, env=app.environment)
    yield run
    process.kill()
    process.wait()
