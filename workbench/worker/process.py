"""Forks a process that stands on its own: own session, output in a file, nothing inherited.

The parent must be single-threaded, hold no open store and have started no thread pool: a fork takes
only the calling thread along, and locks that others held would stay locked for ever.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

CRASHED = 70  # exit status of a child whose body raised (EX_SOFTWARE)
UNRECORDED = 74  # of a run that failed and could not write so (EX_IOERR)


def fork_off(body: Callable[[], int], *, log: Path, title: str) -> int:
    """Run `body` in a new process and give its pid; the child never returns from here.

    title: what `ps` shows as its command name, at most 15 characters.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = CRASHED
    try:
        _stand_alone(log, title)
        status = body()
    except BaseException:
        traceback.print_exc()
    finally:
        leave(status)


def leave(status: int) -> NoReturn:
    """The end of a child: what it printed is written, and no exit handlers run, for they are the parent's."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def call_oneself(title: str) -> None:
    """What ps and top show; Linux only, at most 15 characters."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(title[:15])


def _stand_alone(log: Path, title: str) -> None:
    os.setsid()  # neither the terminal's Ctrl-C nor its closing reaches it
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    log.parent.mkdir(parents=True, exist_ok=True)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, 4096)
    # Fresh text layers: the parent's buffers and encodings are not ours.
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
    faulthandler.enable(file=2, all_threads=True)  # a segmentation fault leaves its stack in the log
    call_oneself(title)


def sacrifice_first() -> None:
    """When memory runs out, the system should end a run, not the supervisor or somebody's browser."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def out_of_memory_kills() -> int:
    """How many processes the kernel has ended for want of memory, in this container or machine."""
    group = "/sys/fs/cgroup"
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        group += next(line for line in lines if line.startswith("0::")).removeprefix("0::").rstrip("/")
    for path in (f"{group}/memory.events", "/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(path).read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
    return 0


def say(text: str) -> None:
    """A line of the supervisor's log. A full disk must not end the one who says that it is full."""
    with contextlib.suppress(OSError):
        print(f"{stamp()} [{os.getpid()}] {text}", file=sys.stderr, flush=True)


def stamp() -> str:
    """The time of a log line."""
    return time.strftime("%Y-%m-%d %H:%M:%S")
