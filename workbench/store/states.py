"""What state a run is in, from three separate facts: exit record, heartbeat, process existence.

No state is stored. A run whose process is gone without an exit record is `lost`, whoever killed it
and whichever of the other processes died with it.
"""

from __future__ import annotations

import socket
import time

import psutil

from workbench.records import RunState

HOST = socket.gethostname()
SILENT_S = 15.0  # without a heartbeat this long, a run on another machine counts as lost
PID_SLACK_S = 2.0  # process start times are rounded by the kernel and move with the clock


def process_exists(pid: int, started: float) -> bool:
    """Whether process `pid`, started at `started` (Unix s), lives here; a zombie or a reused pid does not."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(process.create_time() - started) <= PID_SLACK_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # it exists, but belongs to someone else
        return False


def derive(
    exit_kind: str | None,
    queued: float | None,
    phase: str | None,
    pid: int | None,
    pid_started: float | None,
    host: str | None,
    heartbeat: float | None,
    now: float | None = None,
) -> RunState:
    """The state these facts amount to."""
    if exit_kind:
        return RunState(exit_kind)
    if pid is None:
        return RunState.QUEUED if queued is not None else RunState.LOST
    if host == HOST:
        if not process_exists(pid, pid_started or 0.0):
            return RunState.LOST
    elif (now or time.time()) - (heartbeat or 0.0) > SILENT_S:
        return RunState.LOST
    return RunState(phase or "starting")
