"""A person who looks: real WebSockets to the app, reconnecting as the browser does.

What is shown of a run is the last status that came over a living connection; with the connection gone
the page says so, and nothing is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from workbench.live import wire

AGAIN_S = 0.5  # bus.js tries again after half a second
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what the kernel does to the sockets of a killed browser


@dataclass(frozen=True)
class Shown:
    """What the page says of a run."""

    state: str
    step: int
    total_steps: int | None
    when: float  # time.monotonic() of its arrival


class Viewer:
    """Follows runs from a thread of its own."""

    def __init__(self, url: str, topics: tuple[str, ...] = ()) -> None:
        self._address = url.replace("http", "ws", 1) + "/live/ws?run="
        self._topics = list(topics)
        self.shown: dict[str, Shown] = {}  # runs with a living connection only
        self.points: dict[str, int] = {}  # run → points of train/loss that the app says it has
        self.connections = 0
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sockets: dict[str, ClientConnection] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="viewer", daemon=True)
        self._thread.start()

    def follow(self, runs: Iterable[str]) -> None:
        """Look at these runs and no others."""
        asyncio.run_coroutine_threadsafe(self._follow(set(runs)), self._loop).result(90)

    def die(self) -> None:
        """As after `kill -9`: every connection is reset; what was shown is gone. Then it comes back."""
        asyncio.run_coroutine_threadsafe(self._die(), self._loop).result(90)

    def close(self) -> None:
        self.follow(())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _follow(self, runs: set[str]) -> None:
        for run in set(self._tasks) - runs:
            task = self._tasks.pop(run)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for run in runs - set(self._tasks):
            self._tasks[run] = asyncio.create_task(self._look(run))

    async def _die(self) -> None:
        self.shown.clear()
        for connection in list(self._sockets.values()):
            raw = connection.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.transport.abort()

    async def _look(self, run: str) -> None:
        cursor = ""
        while True:
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                address = f"{self._address}{run}&cursor={cursor}"
                async with connect(address, max_size=None, compression=None, open_timeout=20) as connection:
                    self._sockets[run] = connection
                    self.connections += 1
                    try:
                        if self._topics:
                            await connection.send(_subscribe(self._topics))
                        async for frame in connection:
                            assert isinstance(frame, bytes)
                            cursor = self._take(run, wire.unpack(frame)[0]) or cursor
                    finally:
                        self._sockets.pop(run, None)
                        self.shown.pop(run, None)
            await asyncio.sleep(AGAIN_S)

    def _take(self, run: str, head: dict[str, Any]) -> str | None:
        if head["k"] == "status":
            self.shown[run] = Shown(head["state"], head["step"], head["total_steps"], time.monotonic())
        if head["k"] == "scalars":
            for entry in head["series"]:
                if entry["key"] == "train/loss":
                    self.points[run] = entry["total"]
            return str(head["cursor"])
        return None


def _subscribe(topics: list[str]) -> str:
    return '{"op": "sub", "topics": [' + ", ".join(f'"{topic}"' for topic in topics) + "]}"
