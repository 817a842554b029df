"""How a running loop is asked to pause, go on or stop. Asked for, never forced: the loop polls."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Asked(Protocol):
    """One request: verb "pause", "resume" or "stop". Other verbs are answered with a warning event."""

    @property
    def verb(self) -> str: ...

    @property
    def payload(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Request:
    """A plain request, for callers without a command queue of their own."""

    verb: str
    payload: Mapping[str, Any] = field(default_factory=dict)


class Control(Protocol):
    """What `fit` asks between two steps."""

    def take(self) -> Iterable[Asked]:
        """Requests since the last call, oldest first, each once. Called at every flush: keep it cheap."""
        ...

    def wait(self) -> None:
        """Called over and over while paused: sleep a quarter of a second or so, and show a heartbeat."""
        ...


class Free:
    """Nobody asks for anything."""

    def take(self) -> Iterable[Asked]:
        return ()

    def wait(self) -> None:
        time.sleep(0.05)
