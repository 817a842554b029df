"""A store with a run in it, and viewers that read frames as a browser would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.live import trainer
from workbench.live import wire
from workbench.live.hub import Viewer
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


async def frames_of(viewer: Viewer, quiet_s: float = 0.35) -> list[tuple[dict[str, Any], memoryview]]:
    """Every frame until none came for `quiet_s`."""
    found = []
    while True:
        try:
            frame = await asyncio.wait_for(viewer.next(), quiet_s)
        except TimeoutError:
            return found
        if frame is None:
            return found
        found.append(wire.unpack(frame))


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
