"""What state a run is in, from three separate facts: exit record, heartbeat, process existence.

No state is stored. A run whose process is gone without an exit record is `lost`, whoever killed it
and whichever of the other processes died with it.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import psutil

from workbench.records import RunState

PARKED = "parked"  # the exit record of a run that was paused and gave its memory back
HOST = socket.gethostname()
SILENT_S = 15.0  # without a heartbeat this long, a run on another machine counts as lost
PID_SLACK_S = 2.0  # start times by the clock are rounded by the kernel and move with it
SAME_S = 0.005  # start times since boot are whole ticks of 10 ms
CLOCK = 1e9  # start times above are Unix seconds, those below are seconds since boot


def started_at(pid: int) -> float:
    """When process `pid` started; keep it to recognise the process. Raises psutil.NoSuchProcess.

    On Linux seconds since boot, which no change of the clock moves; elsewhere Unix seconds.
    """
    if not psutil.LINUX:
        return float(psutil.Process(pid).create_time())
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise psutil.NoSuchProcess(pid) from None
    return int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")  # field 22, see proc(5)


def process_exists(pid: int, started: float) -> bool:
    """Whether process `pid`, started at `started`, lives here; a zombie or a reused pid does not.

    started: what `started_at` said of it, or its start in Unix seconds.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if started < CLOCK and psutil.LINUX:
            return abs(started_at(pid) - started) <= SAME_S
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
    if exit_kind == PARKED:
        return RunState.PAUSED
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
