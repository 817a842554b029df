"""A home with everything in it: supervisor, runs, answering process, app server. All real processes.

What the kernel says of them is read here from /proc, past everything that the product believes.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from tests.processes import PATIENCE_S, processes_of, until
from workbench.jobs.launch import ensure_supervisor, supervisor
from workbench.store import Store, open_store

LOG_OF_RUN = re.compile(r"/runs/([A-Za-z0-9_-]+)/log\.txt$")
REPO = Path(__file__).resolve().parents[2]


class House:
    """Start it with `with House(folder) as house`; on leaving, every process of the home is killed."""

    def __init__(self, home: Path) -> None:
        self.store: Store = open_store(home.resolve())
        self.home = self.store.home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._app: subprocess.Popen[bytes] | None = None
        self._log = (self.home / "app.log").open("ab")

    def __enter__(self) -> House:
        self.start_app()
        self.wait_for_app()
        return self

    def __exit__(self, *_: object) -> None:
        for _round in range(3):  # what was just being forked shows up in the next round
            victims = processes_of(self.home)
            for process in victims:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(victims, timeout=5)
        if self._app is not None:
            self._app.wait()
        self._log.close()
        self.store.close()

    # ------------------------------------------------------------ the app

    def start_app(self) -> None:
        """As a person does: `workbench up`, on the port that the browser knows."""
        if self._app is not None:
            self._app.wait(timeout=PATIENCE_S)  # a killed one is our child: nobody else can bury it
        self._app = subprocess.Popen(
            [sys.executable, "-m", "workbench.cli.main", "up", "--port", str(self.port)],
            env={**os.environ, "WORKBENCH_HOME": str(self.home), "PYTHONPATH": str(REPO)},
            stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip

    def wait_for_app(self, patience_s: float = PATIENCE_S) -> None:
        def answers() -> bool:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1),
            ):
                return True
            return False

        until(answers, "the app", patience_s)

    # ------------------------------------------------------------ who lives

    @property
    def app_pid(self) -> int | None:
        return self._app.pid if self._app is not None and self._app.poll() is None else None

    def supervisor_pid(self) -> int | None:
        found = supervisor(self.store)
        return found.pid if found else None

    def answers_pid(self) -> int | None:
        """The newest living answering process."""
        return self._newest("workbench-ask")

    def nursery_pid(self) -> int | None:
        """The newest living process that forks trials."""
        return self._newest("workbench-nurse")

    def _newest(self, title: str) -> int | None:
        return max((pid for pid in _pids() if _comm(pid) == title and self._is_ours(pid)), default=None)

    def run_processes(self) -> dict[str, int]:
        """run id → pid of the process that works on it, as the kernel knows it; zombies do not count.

        Which run it is, is told by the file that takes its output.
        """
        found = {}
        for pid in _pids():
            if _comm(pid) == "workbench-run":
                with contextlib.suppress(OSError):  # a zombie's files are gone
                    output = os.readlink(f"/proc/{pid}/fd/1")
                    if output.startswith(f"{self.home}/") and (named := LOG_OF_RUN.search(output)):
                        found[named[1]] = pid
        return found

    def zombies(self) -> list[int]:
        """Dead processes that a process of this home has not waited for."""
        living = {process.pid for process in processes_of(self.home)}
        found = []
        for pid in _pids():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.status() == psutil.STATUS_ZOMBIE and process.ppid() in living:
                    found.append(pid)
        return found

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(psutil.Error):
            return bool(psutil.Process(pid).environ().get("WORKBENCH_HOME") == str(self.home))
        return False

    # ------------------------------------------------------------ order

    def ensure(self, wait_s: float = 0.0) -> None:
        """What every page and command does: see that there is a supervisor."""
        ensure_supervisor(self.store, wait_s)

    def leave(self) -> list[str]:
        """End app and supervisor as a person does; what is still there half a minute later."""
        if self.app_pid:
            os.kill(self.app_pid, signal.SIGINT)
        if self._app is not None:
            self._app.wait(timeout=PATIENCE_S)  # first: it would bring the supervisor back
        if pid := self.supervisor_pid():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 30.0
        while (left := processes_of(self.home)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [f"{p.pid} {_comm(p.pid)}" for p in left]


def kill(*pids: int | None) -> float:
    """`kill -9`, all as close together as it gets, and wait until they are dead. When: time.monotonic()."""
    at, victims = time.monotonic(), [pid for pid in pids if pid]
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in victims:
        with contextlib.suppress(psutil.Error):
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() - at < 5:
                time.sleep(0.001)
    return at


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _comm(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
