"""How a running loop is asked to change its ways. Asked for, never forced: the loop polls.

Verbs and what they carry: pause {}, resume {}, stop {}, park {}, step {"steps": n}, change {"changes":
{path: value}}.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

Verb = Literal["pause", "resume", "stop", "park", "step"]
VERBS: dict[str, Verb] = {verb: verb for verb in get_args(Verb)}
MOST_STEPS = 100_000_000  # as many as a run may have


class Asked(Protocol):
    """One request. A verb or a payload that makes no sense is answered with a warning event."""

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


@dataclass(frozen=True)
class Orders:
    """What requests taken together come to.

    verb: the last one, but stop wins over all others; steps: of a "step"; changes: in the order asked;
    refused: a sentence for each request that makes no sense.
    """

    verb: Verb | None
    steps: int
    changes: tuple[Mapping[str, Any], ...]
    refused: tuple[str, ...]


def orders(asked: Iterable[Asked]) -> Orders:
    """Requests, oldest first, as orders. Raises nothing, whatever they carry."""
    verb: Verb | None = None
    steps = 0
    changes: list[Mapping[str, Any]] = []
    refused: list[str] = []
    for request in asked:
        given = request.payload if isinstance(request.payload, Mapping) else {}
        if request.verb == "change":
            wanted = given.get("changes")
            if isinstance(wanted, Mapping) and all(isinstance(path, str) for path in wanted):
                changes.append(wanted)
            else:
                refused.append("A change must carry paths with their values; this one does not")
        elif request.verb == "step" and not _is_count(given.get("steps")):
            refused.append(f"A step must carry a number of updates from 1 up, not {given.get('steps')!r:.60}")
        elif request.verb in VERBS:
            if verb != "stop":
                verb, steps = VERBS[request.verb], given.get("steps", 0)
        else:
            refused.append(f"A running loop cannot be asked to {request.verb!r}")
    return Orders(verb, steps, tuple(changes), tuple(refused))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_STEPS
