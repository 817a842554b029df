"""A run whose process exists and yet gives no sign of life: stopped by a signal, or stuck."""

from __future__ import annotations

import psutil

from workbench.store import RunRow
from workbench.store.states import HOST

SILENT_S = 10.0  # a run at work beats every second or two; a busy machine may let a few beats fall out


def is_silent(run: RunRow) -> bool:
    return run.silent_s is not None and run.silent_s >= SILENT_S


def is_stopped(run: RunRow) -> bool:
    """Whether the process of a silent run was stopped by a signal (SIGSTOP, Ctrl-Z)."""
    if not is_silent(run) or run.pid is None or run.host not in (None, HOST):
        return False
    try:
        return bool(psutil.Process(run.pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def silence(run: RunRow) -> str | None:
    """What to tell of a silent run, in one sentence; None while it is heard."""
    if not is_silent(run):
        return None
    seconds = round(run.silent_s or 0)
    length = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
    if is_stopped(run):
        return f"No sign of life for {length}: its process is stopped. It goes on with kill -CONT {run.pid}."
    return f"No sign of life for {length}; its process still exists."
