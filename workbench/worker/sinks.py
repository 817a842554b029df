"""Other places that a run writes to, if its spec says so: TensorBoard event files, an MLflow server.

A sink follows the store: it copies what has been committed, so nothing can be in a sink that is not in
the store, and every scalar of the store comes to be in the sink. A sink that fails is turned off with
one warning; it never ends a run.
"""

from __future__ import annotations

import io
import math
import re
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from PIL import Image

from workbench.engine.flush import Flush
from workbench.records import Tiles
from workbench.specs.errors import WorkbenchError
from workbench.store import RunRow, Store
from workbench.worker.eventfile import EventFile
from workbench.worker.tracking import Tracking, flat

FOLDER = "tensorboard"  # in the run's folder
PICTURE_EVERY_S = 5.0  # of one layer's filters; a picture costs a few milliseconds
CREDENTIALS = re.compile(r"//[^/@\s]+@")  # of an address: not for logs
READ_CHUNKS = 2000  # of the store at a time, when a long history is copied


class Sink(Protocol):
    """One place. Any method may raise: it is not called again then."""

    def write(self, flush: Flush) -> None:
        """Copy what the store has and this place has not; `flush` is in the store already."""
        ...

    def close(self, outcome: str) -> None:
        """The session is over: "finished", "stopped", "failed" or "parked"."""
        ...


class Sinks:
    """All sinks of one session of a run. No method ever raises; each answers with warnings to record."""

    def __init__(self) -> None:
        self._sinks: dict[str, Sink] = {}
        self._warnings: list[str] = []

    @classmethod
    def over(cls, store: Store, row: RunRow) -> Sinks:
        """What `row.spec.watch` asks for; nothing, by default.

        Call it once the history beyond the checkpoint is forgotten: `row.step` is where the session
        starts. What an earlier session left in a sink is brought level with the store.
        """
        sinks, watch = cls(), row.spec.watch
        if watch.tensorboard:
            sinks._open("TensorBoard", lambda: TensorBoard(store, row))
        if watch.mlflow:
            address = watch.mlflow
            sinks._open("MLflow", lambda: Tracking(store, row, address))
        return sinks

    def write(self, flush: Flush) -> list[str]:
        """Call it when the flush and its checkpoints are in the store."""
        for name, sink in list(self._sinks.items()):
            self._try(name, lambda sink=sink: sink.write(flush))  # type: ignore[misc]
        return self._said()

    def close(self, outcome: str) -> list[str]:
        """Call it before the exit record. MLflow gets some time to take what it has not taken yet."""
        for name, sink in list(self._sinks.items()):
            self._try(name, lambda sink=sink: sink.close(outcome))  # type: ignore[misc]
        self._sinks.clear()
        return self._said()

    def _open(self, name: str, make: Callable[[], Sink]) -> None:
        def add() -> None:
            self._sinks[name] = make()

        self._try(name, add)

    def _try(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._sinks.pop(name, None)
            self._warnings.append(f"{name} is turned off for this session: {_reason(error)}")

    def _said(self) -> list[str]:
        said, self._warnings = self._warnings, []
        return said


class TensorBoard:
    """Event files in the run's folder: `tensorboard --logdir HOME/artifacts/runs`.

    A session begins a new file with all that the store holds, and removes the older ones: whatever a
    killed process left half written or ahead of its checkpoint is gone. (A million points: half a second.)
    """

    def __init__(self, store: Store, row: RunRow) -> None:
        self._store = store
        self._run = row.id
        self._file = EventFile(store.run_folder(row.id) / FOLDER)
        self._chunk = self._event = 0
        self._pictured: dict[str, float] = {}
        self._file.hyperparameters(flat(row.spec.model_dump(mode="json")), row.started or time.time())
        text = f"Run {row.id}\n\n```yaml\n{row.spec.to_yaml()}```\n"
        self._file.text("spec", text, 0, row.started or time.time())
        self._follow()

    def write(self, flush: Flush) -> None:
        self._follow()
        for record in flush.records:
            if isinstance(record, Tiles) and record.topic.startswith("filters/"):
                self._picture(record)

    def close(self, outcome: str) -> None:
        self._follow()
        if outcome != "parked":
            self._file.ended(outcome in ("finished", "stopped"), time.time())
        self._file.close()

    def _follow(self) -> None:
        while True:
            parts, self._chunk = self._store.scalars.since(self._run, self._chunk, READ_CHUNKS)
            self._file.scalars(parts)
            if len(parts) < READ_CHUNKS:
                break
        events, self._event = self._store.events.since(self._run, self._event)
        for event in events:
            self._file.text(f"events/{event.kind}", event.text, event.step, event.time)

    def _picture(self, tiles: Tiles) -> None:
        now = time.monotonic()
        if now - self._pictured.get(tiles.topic, -1e9) < PICTURE_EVERY_S:
            return
        self._pictured[tiles.topic] = now
        image = mosaic(tiles.pixels)
        png = io.BytesIO()
        image.save(png, "PNG")
        self._file.picture(tiles.topic, png.getvalue(), image.size, tiles.step, tiles.time)


def mosaic(pixels: np.ndarray) -> Image.Image:
    """Tiles (n, h, w) or (n, h, w, 3) uint8 side by side in a square, a pixel apart; small ones enlarged."""
    n, h, w = pixels.shape[:3]
    across = math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    sheet = np.full((down * (h + 1) - 1, across * (w + 1) - 1, 3), 128, np.uint8)
    for i in range(n):
        top, left = i // across * (h + 1), i % across * (w + 1)
        tile = pixels[i] if pixels.ndim == 4 else pixels[i][..., None]
        sheet[top : top + h, left : left + w] = tile
    image = Image.fromarray(sheet)
    scale = max(1, 256 // max(image.size))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _reason(error: Exception) -> str:
    if isinstance(error, WorkbenchError) and error.problems:
        first = error.problems[0]
        return f"{first.fact}. {first.repair}"
    first_line = (str(error).strip().splitlines() or [""])[0][:300]
    return f"{type(error).__name__}: {CREDENTIALS.sub('//…@', first_line)}"
