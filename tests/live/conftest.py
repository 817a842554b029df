"""A store with a run in it, and viewers that read frames as a browser would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.live import trainer
from workbench.live import wire
from workbench.live.hub import Viewer
from workbench.records import Scalars
from workbench.store import Store, open_store


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(home)
    yield opened
    opened.close()


@pytest.fixture
def run_id(store: Store) -> str:
    """A run that this very process claims to train."""
    run = trainer.new_run(store, "watched")
    trainer.claim(store, run)
    return run


def scalars(first: int, last: int, key: str = "train/loss", value: float | None = None) -> Scalars:
    """Points of the steps from `first` to `last`: a sine, or `value` throughout."""
    steps = np.arange(first, last + 1)
    values = np.full(len(steps), value, float) if value is not None else np.sin(steps)
    return Scalars(key, steps, steps / 10, time.time() + 0.0 * steps, values)


async def raw_frames_of(viewer: Viewer, quiet_s: float = 0.35, *, first_s: float = 30.0) -> list[bytes]:
    """Every frame until none came for `quiet_s`; on a busy machine the first may take up to `first_s`."""
    found: list[bytes] = []
    while True:
        try:
            frame = await asyncio.wait_for(viewer.next(), quiet_s if found else first_s)
        except TimeoutError:
            return found
        if frame is None:
            return found
        found.append(frame)


async def frames_of(viewer: Viewer, quiet_s: float = 0.35) -> list[tuple[dict[str, Any], memoryview]]:
    """`raw_frames_of`, read."""
    return [wire.unpack(frame) for frame in await raw_frames_of(viewer, quiet_s)]


def points(head: dict[str, Any], payload: memoryview) -> dict[str, np.ndarray]:
    """key → (4, n) of a scalars frame."""
    found, at = {}, 0
    for entry in head["series"]:
        size = 32 * entry["n"]
        found[entry["key"]] = np.frombuffer(payload[at : at + size], "<f8").reshape(4, -1)
        at += size
    return found


def of_kind(
    frames: list[tuple[dict[str, Any], memoryview]], kind: str
) -> list[tuple[dict[str, Any], memoryview]]:
    return [frame for frame in frames if frame[0]["k"] == kind]
