"""A single-threaded process that has torch loaded and forks a child for each trial.

The answering process has threads and thread pools, and neither survives a fork: so it forks this one
before it starts any. A trial lives in a child of its own: its memory is its own, and when it crashes or
memory runs out, nothing else is hurt. Whoever asked talks with the child over a socket of their own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from workbench.worker.process import call_oneself, leave

LONGEST_S = 600  # of one trial
Body = Callable[[socket.socket], None]


class Nursery:
    """Forks on construction: make it before any thread is started. body: what a child does."""

    def __init__(self, body: Body) -> None:
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _serve(theirs, body)  # never returns
        theirs.close()
        self._door = ours
        self._turn = threading.Lock()

    def is_gone(self) -> bool:
        """Whether it was killed; then it is buried here. Nobody with threads can make another one."""
        if self._pid:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self._pid, os.WNOHANG)[0] == 0:
                    return False
            self._pid = 0
        return True

    def begin(self) -> socket.socket:
        """A connection to a new child. Closing it ends the child at its next word."""
        ours, theirs = socket.socketpair()
        try:
            with self._turn, theirs:
                socket.send_fds(self._door, [b"x"], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
        return ours


def _serve(door: socket.socket, body: Body) -> None:
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asked
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children leave no zombies
        call_oneself("workbench-nurse")
        while True:
            message, descriptors, _, _ = socket.recv_fds(door, 1, 1)
            if not message:
                os._exit(0)  # the answering process is gone
            child = -1
            with contextlib.suppress(OSError):  # no memory for a child now: its asker sees a closed line
                child = os.fork()
            if child == 0:
                door.close()
                _work(socket.socket(fileno=descriptors[0]), body)
            for descriptor in descriptors:
                os.close(descriptor)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _work(connection: socket.socket, body: Body) -> None:
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        call_oneself("workbench-trial")
        signal.alarm(LONGEST_S)
        with contextlib.suppress(OSError):  # when memory runs out, this one goes first
            Path("/proc/self/oom_score_adj").write_text("900")
        body(connection)
        status = 0
    except BrokenPipeError:
        status = 0  # nobody listens any more
    except BaseException:
        traceback.print_exc()
    finally:
        leave(status)
