"""Sees to it that a supervisor is there. Names the worker by string; never imports it.

One supervisor a home holds the lease `supervisor` in the store. Its holder string says which source
it has loaded, so that an upgraded product replaces an idle supervisor of the old version.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from workbench.jobs.source import PACKAGE, source_stamp
from workbench.specs.errors import StoreError
from workbench.store import Store
from workbench.store.states import HOST, process_exists

LEASE = "supervisor"
LEASE_TTL_S = 5.0
WANTED = "supervisor.wanted"  # touched by whoever wants something of it: a look at a file costs nothing
MODULE = "workbench.worker.supervisor"
_SPAWN_PAUSE_S = 2.0  # a supervisor just started needs this long to take its lease on a busy machine
_spawned: dict[Path, float] = {}  # home -> when this process last started one


@dataclass(frozen=True)
class Supervisor:
    """The supervisor that holds the lease and lives."""

    pid: int
    host: str
    holder: str  # "<stamp>/<unique>/<settings>", as in the lease

    @property
    def stamp(self) -> str:
        """`source_stamp` of what it has loaded."""
        return self.holder.partition("/")[0]

    @property
    def settings(self) -> str:
        """Its slots, as `jobs.slots` writes them; empty for one of an older version."""
        parts = self.holder.split("/", 2)
        return parts[2] if len(parts) == 3 else ""


def supervisor(store: Store) -> Supervisor | None:
    """The living supervisor of this home, or None.

    On this machine the process itself is asked, so a killed one is known as gone at once and not
    only when its lease lapses.
    """
    lease = store.leases.read(LEASE)
    if lease is None or lease.expires < time.time():
        return None
    if lease.host == HOST and not process_exists(lease.pid, lease.pid_started):
        with contextlib.suppress(Exception):  # a store that takes nothing can still be read
            store.leases.release(LEASE, lease.holder)  # proven dead: nobody has to wait for the ttl
        return None
    return Supervisor(lease.pid, lease.host, lease.holder)


def ensure_supervisor(store: Store, wait_s: float = 0.0) -> Supervisor | None:
    """Start a supervisor where none lives, and replace an idle one of an older source.

    Returns at once by default (the queue waits for it); `wait_s` waits until it holds the lease.
    Calling this also tells the supervisor that it is wanted: unasked for an hour, it leaves.
    Raises StoreError when none came up within `wait_s`.
    """
    with contextlib.suppress(OSError):
        (store.home / WANTED).touch()
    present = supervisor(store)
    old = ""
    if present and _outdated(present) and not store.runs.active():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(present.pid, signal.SIGTERM)
        _spawned[store.home] = time.monotonic()
        old = present.holder
        _spawn(store, old)
        present = None
    deadline = time.monotonic() + wait_s
    while present is None:
        if time.monotonic() - _spawned.get(store.home, -1e9) > _SPAWN_PAUSE_S:
            _spawned[store.home] = time.monotonic()
            _spawn(store)
        if time.monotonic() >= deadline:
            break
        time.sleep(0.02)
        now = supervisor(store)
        present = now if now and now.holder != old else None
    if present is not None:
        _spawned.pop(store.home, None)  # it came up; should it die in a second, another may be started
    elif wait_s > 0:
        raise StoreError.of(
            "supervisor", f"the supervisor must come up within {wait_s:g} s", "it did not",
            f"See {log_file(store)}.",
        )  # fmt: skip
    return present


def log_file(store: Store) -> Path:
    """Where the supervisor says what it does."""
    return store.home / "supervisor.log"


def _outdated(present: Supervisor) -> bool:
    # "Greater" and not "different": two checkouts on one home must not replace each other in turns.
    return present.host == HOST and source_stamp() > present.stamp


def _spawn(store: Store, after: str = "") -> None:
    """Start `python -m workbench.worker.supervisor` as nobody's child, in a session of its own.

    after: the holder it replaces, which is leaving: it waits a little for that one's lease.

    The process in between forks and ends at once: the supervisor belongs to init, so it can neither
    become our zombie nor get the terminal's Ctrl-C.
    """
    log = log_file(store)
    with contextlib.suppress(OSError):
        if log.stat().st_size > 1_000_000:
            os.replace(log, log.with_suffix(".log.1"))
    between = (
        "import os, sys\n"
        "if os.fork(): os._exit(0)\n"
        "os.execv(sys.executable, [sys.executable, '-m', *sys.argv[1:]])\n"
    )
    path = os.pathsep.join(filter(None, [os.fspath(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    environment = {
        # NumPy's OpenBLAS starts its threads on import, and threads do not survive the forks to come.
        "OPENBLAS_NUM_THREADS": "1",
        # Threads that wait by spinning take the cores from the page, the browser and each other: with
        # one busy process beside it on 2 cores, cnn-mnist trained 3 to 6 times faster without.
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "WORKBENCH_HOME": os.fspath(store.home),
        "WORKBENCH_STORE": store.url,
        "WORKBENCH_ARTIFACTS": os.fspath(store.artifacts),
        "PYTHONPATH": path,
    }
    with log.open("ab") as output:
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", between, MODULE, after],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            cwd=store.home, env=environment, start_new_session=True, check=True,
        )  # fmt: skip
