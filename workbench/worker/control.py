"""What the engine asks between two flushes: has somebody said pause, resume or stop?"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

from sqlalchemy.exc import OperationalError

from workbench.engine.control import Request
from workbench.store import Store
from workbench.store.signals import Command

PAUSED_TICK_S = 0.1


class StoreControl:
    """Commands of the run's mailbox, and the system's SIGTERM as a stop."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._terminated = False
        self._passed_on = False

    def terminate(self) -> None:
        """From the signal handler: the next `take` says stop."""
        self._terminated = True

    def take(self) -> Iterable[Command | Request]:
        self._store.must_be_there()
        found: list[Command | Request] = []
        with contextlib.suppress(OperationalError):  # locked by others for long: ask again at the next flush
            found += self._store.commands.take(self._run_id)
        if self._terminated and not self._passed_on:
            self._passed_on = True
            found.append(Request("stop"))
        return found

    def wait(self) -> None:
        """A paused run waits here between two looks into the mailbox; the vitals thread beats."""
        deadline = time.monotonic() + PAUSED_TICK_S
        while not self._terminated and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
