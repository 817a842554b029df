"""The only reader of a watched run, whatever the number of its viewers: store → buffers and news.

Everything here is plain and synchronous and is called in a worker thread, one call at a time. A
poll that finds nothing costs one indexed query (the run's revision).
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.live.history import Axis, History
from workbench.live.logfile import LogFile
from workbench.live.silence import is_stopped
from workbench.records import Event, Scalars
from workbench.specs.inside import duels
from workbench.specs.nesting import named
from workbench.specs.run import RunSpec
from workbench.store import RunRow, Store
from workbench.store.snapshots import SnapshotRow

STATUS_S = 1.0  # a state can change by absence (a killed process), so it is looked at this often
LONG = 100_000  # points of a key; beyond twice that, all but the last so many are kept thinned
COLUMNS = 1024  # groups that stand for the thinned part: up to four points each


@dataclass
class News:
    """What a poll found. `starts`: key → index of its first new point; None after a rewind."""

    row: RunRow | None = None
    starts: dict[str, int] | None = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    snapshots: list[SnapshotRow] = field(default_factory=list)
    gone: bool = False


class Reader:
    """Cursors and buffers of one run."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        self.histories: dict[str, History] = {}
        self.events: list[Event] = []
        self.topics: list[str] = []
        self.row: RunRow | None = None
        self.spec: RunSpec | None = None
        self.log = LogFile(store.log_path(run_id))
        self._good: dict[str, Any] | None = None  # the newest checkpoint of a run that is over
        self._revision = -2
        self._looked = 0.0
        self._cursors = {"scalars": 0, "events": 0, "snapshots": 0}
        # Where each key stood at recent cursors, so that a viewer who was away shortly gets the rest only.
        self._marks: deque[tuple[str, dict[str, int]]] = deque(maxlen=1200)
        self._generation = secrets.token_hex(4)

    @property
    def cursor(self) -> str:
        """Names a place in this reader's history; of no meaning to another reader."""
        return f"{self._generation}.{self._cursors['scalars']}"

    def poll(self) -> News:
        """Read what was written since the last poll. Raises StoreError when the home is gone."""
        now = time.monotonic()
        if now - self._looked >= STATUS_S:
            self.store.must_be_there()
        revision = self.store.runs.revision(self.run_id)
        if revision < 0:
            return News(gone=True)
        changed = revision != self._revision
        if not changed and now - self._looked < STATUS_S:
            return News()
        self._looked = now
        if not changed and self.row is not None and self.row.state.is_over:
            return News()  # nothing but a new revision can change a run that is over
        self._revision = revision
        before, self.row = self.row, self.store.runs.get(self.run_id)
        news = News(row=self.row)
        self.spec = self.spec or self.row.spec  # frozen in the run: read once
        if changed:
            self._good = self._checkpoint() if self.row.state.is_over else None
            if before is not None and self.row.step < before.step:  # resumed from an earlier step
                self._rewind(self.row.step, news)
            self._read(news)
        return news

    def between(self, key: str, axis: Axis, lo: float, hi: float, columns: int) -> tuple[np.ndarray, int]:
        """Points (4, n) that draw lo..hi of `axis`, every extreme of every column among them, and how
        many the range has in truth, as far as that is known: more than n when some are left out."""
        history = self.histories[key]
        if history.is_whole(axis, lo):
            return history.between(axis, lo, hi, columns)
        t0 = self._t0() if axis == "time" else 0.0
        drawn = self.store.scalars.overview(
            self.run_id, key, axis=axis, low=lo + t0, high=hi + t0, columns=columns
        )
        times = drawn.times - self._t0()
        points = np.stack([drawn.steps.astype(np.float64), drawn.epochs, times, drawn.values])
        return points, len(drawn)

    def _begin(self) -> None:
        """Long histories of a run seen for the first time come thinned; the rest is read as it is."""
        sizes, cursor = self.store.scalars.sizes(self.run_id)
        if max(sizes.values(), default=0) <= 2 * LONG:
            return
        t0 = self._t0()
        short = [key for key, n in sizes.items() if n <= LONG]
        for key, part in self.store.scalars.read(self.run_id, short).items():
            self.histories.setdefault(key, History()).append(part, t0)
        for key, n in sizes.items():
            if n > LONG:
                drawn = self.store.scalars.overview(self.run_id, key, columns=COLUMNS)
                self.histories.setdefault(key, History()).begin(drawn, t0, n)
        self._cursors["scalars"] = cursor

    def _shorten(self) -> None:
        """Thin the early part of what has grown long under our eyes, so that memory stays bounded."""
        for key, history in self.histories.items():
            if history.n > 2 * LONG:
                upto = float(history.points[0, history.n - LONG])
                drawn = self.store.scalars.overview(self.run_id, key, high=upto, columns=COLUMNS)
                history.begin(drawn, self._t0(), history.total)
                self._marks.clear()

    def _read(self, news: News) -> None:
        t0 = self._t0()
        begun: dict[str, float] = {}
        if not self.histories:
            self._begin()
            begun = {key: float(history.points[0, -1]) for key, history in self.histories.items()}
            if news.starts is not None:
                news.starts.update(dict.fromkeys(begun, 0))
        self._shorten()
        while True:
            chunks, cursor = self.store.scalars.since(self.run_id, self._cursors["scalars"])
            for chunk in chunks:
                history = self.histories.setdefault(chunk.key, History())
                if chunk.steps[-1] <= begun.get(chunk.key, -1.0):
                    continue  # written between the two looks of `_begin`
                if history.n and _walks_again(chunk, history.points[0, -1]):
                    self._rewind(int(chunk.steps[0]) - 1, news)
                if news.starts is not None:
                    news.starts.setdefault(chunk.key, history.n)
                history.append(chunk, t0)
            done = cursor == self._cursors["scalars"]
            self._cursors["scalars"] = cursor
            if done:
                break
        self._marks.append((self.cursor, {key: h.n for key, h in self.histories.items()}))
        news.events, self._cursors["events"] = self.store.events.since(self.run_id, self._cursors["events"])
        self.events += news.events
        news.snapshots, self._cursors["snapshots"] = self.store.snapshots.since(
            self.run_id, self._cursors["snapshots"]
        )
        if any(row.topic not in self.topics for row in news.snapshots):
            self.topics = self.store.snapshots.topics(self.run_id)

    def _rewind(self, step: int, news: News) -> None:
        """Forget what lies beyond `step`; every viewer then gets a snapshot."""
        for history in self.histories.values():
            history.cut(step)
        self.topics = self.store.snapshots.topics(self.run_id)
        self._marks.clear()
        self._generation = secrets.token_hex(4)
        news.starts = None

    def _t0(self) -> float:
        assert self.row is not None
        return self.row.started or self.row.created

    def marks_at(self, cursor: str) -> dict[str, int] | None:
        """How many points of each key a viewer with this cursor has; None when that is not known."""
        return next((marks for known, marks in reversed(self._marks) if known == cursor), None)

    def _checkpoint(self) -> dict[str, Any] | None:
        """The newest whole checkpoint, from which a resume would go on."""
        found = max(
            (c for c in self.store.checkpoints.list(self.run_id) if c.is_own),
            key=lambda c: c.step,
            default=None,
        )
        return {"name": found.name, "step": found.step} if found else None

    def status(self) -> dict[str, Any]:
        """The status frame's header. Times are seconds."""
        row, spec = self.row, self.spec
        assert row is not None
        assert spec is not None
        ended = row.ended or (row.heartbeat if row.state.is_over else None)
        elapsed = row.active_s
        if elapsed is None and row.started:  # before its first flush, or written by an older version
            elapsed = max(0.0, (ended or time.time()) - row.started)
        return {
            "run": row.id, "name": row.name, "state": row.state.value, "step": row.step, "epoch": row.epoch,
            "total_steps": row.total_steps, "total_epochs": _total_epochs(row, spec), "eta_s": row.eta_s,
            "elapsed_s": elapsed, "device": row.device, "telemetry_share": row.telemetry_share,
            "metrics": row.metrics, "error": row.error, "created": row.created, "started": row.started,
            "ended": row.ended, "budget": spec.watch.budget, "parent": row.parent, "parked": row.parked,
            "held": row.held, "silent_s": row.silent_s, "is_stopped": is_stopped(row), "good": self._good,
            "task": spec.task.kind,
        }  # fmt: skip


def _walks_again(chunk: Scalars, last_step: float) -> bool:
    """Whether a resumed run comes by these steps once more. The machine is looked at several times a step,
    as while a run is paused, so its samples do so only when they lie before the last step."""
    first = chunk.steps[0]
    return bool(first < last_step if chunk.key.startswith("system/") else first <= last_step)


def _total_epochs(row: RunRow, spec: RunSpec) -> float | None:
    if row.total_steps and row.step and row.epoch:
        return round(row.total_steps * row.epoch / row.step, 2)
    return spec.training.epochs if spec.training.steps is None else None


def layer_names(spec: RunSpec, *, inside: bool = False) -> dict[str, str]:
    """Layer name → what to call it: "conv2d 32". inside: those in groups too, "3.layers.1", and those of
    both stacks of a translator, "encoder.2" and "decoder.1"; else numbered as `training.freeze` does."""
    layers, decoder = spec.model.layers, spec.model.decoder
    if not inside:
        found = {str(i): _called(layer) for i, layer in enumerate(layers)}
        behind = {str(len(layers) + i): f"decoder.{i} {_called(layer)}" for i, layer in enumerate(decoder)}
        return found | behind
    first, second = ("generator.", "discriminator.") if duels(spec.model) else ("encoder.", "decoder.")
    stacks = [*named(layers, first), *named(decoder, second)] if decoder else named(layers)
    return {name: _called(layer) for name, layer in stacks}


def _called(layer: Any) -> str:
    size = getattr(layer, "out_channels", None) or getattr(layer, "out_features", None)
    kind = str(getattr(layer, "kind", ""))
    return f"{kind} {size}" if size else kind
