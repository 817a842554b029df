"""Tiles and panels through time: a row per snapshot, its arrays in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError
from sqlalchemy import Connection, Engine, Row, and_, delete, func, select

from workbench.records import Panel, Tiles
from workbench.store.files import write_whole
from workbench.store.schema import snapshots


@dataclass(frozen=True)
class SnapshotRow:
    """That a snapshot exists; `Snapshots.load` brings its content."""

    id: int
    topic: str
    kind: str  # tiles | panel
    step: int
    epoch: float
    time: float


class Snapshots:
    """Append, list and load; arrays are written before the row that names them."""

    def __init__(self, engine: Engine, folder_of: Callable[[str], Path]) -> None:
        self._engine = engine
        self._folder_of = folder_of

    def write_arrays(self, run_id: str, record: Tiles | Panel) -> dict[str, Any]:
        """Put the arrays into a file; the row to insert once that file is whole."""
        if isinstance(record, Tiles):
            arrays = {"pixels": record.pixels, "lows": record.lows, "highs": record.highs}
            about: dict[str, Any] = {
                "label": record.label, "title": record.title, "group": record.group, "signed": record.signed
            }  # fmt: skip
        else:
            arrays, about = dict(record.arrays), dict(record.data)
        file = ""
        if arrays:
            file = f"snapshots/{record.topic.replace('/', '-')}-{record.step:010d}.safetensors"
            whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            write_whole(self._folder_of(run_id) / file, safetensors.numpy.save(whole), durable=False)
        return {
            "run_id": run_id, "topic": record.topic,
            "kind": "tiles" if isinstance(record, Tiles) else "panel",
            "step": record.step, "epoch": record.epoch, "time": record.time,
            "about": json.dumps(about), "file": file,
        }  # fmt: skip

    def append(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        """Insert rows made by `write_arrays`, inside the caller's transaction."""
        if rows:
            connection.execute(snapshots.insert(), rows)

    def since(self, run_id: str, cursor: int = 0) -> tuple[list[SnapshotRow], int]:
        """The newest snapshot of each topic written after `cursor`, and the cursor to go on from."""
        newest = (
            select(func.max(snapshots.c.id))
            .where(snapshots.c.run_id == run_id, snapshots.c.id > cursor)
            .group_by(snapshots.c.topic)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(snapshots).where(snapshots.c.id.in_(newest)).order_by(snapshots.c.id)
            ).all()
        found = [SnapshotRow(r.id, r.topic, r.kind, r.step, r.epoch, r.time) for r in rows]
        return found, (rows[-1].id if rows else cursor)

    def topics(self, run_id: str) -> list[str]:
        """What this run has pictures of, filters before maps, layers in order."""
        with self._engine.connect() as connection:
            found = connection.execute(
                select(snapshots.c.topic).where(snapshots.c.run_id == run_id).distinct()
            )
            return sorted(found.scalars(), key=_layer_order)

    def steps(self, run_id: str, topic: str) -> list[int]:
        """The steps at which `topic` was seen, in order."""
        wanted = select(snapshots.c.step).where(snapshots.c.run_id == run_id, snapshots.c.topic == topic)
        with self._engine.connect() as connection:
            return sorted(set(connection.execute(wanted).scalars()))

    def load(self, run_id: str, topic: str, step: int | None = None) -> Tiles | Panel | None:
        """The newest snapshot of `topic` at or before `step` (None: the newest); None when there is none."""
        wanted = select(snapshots).where(snapshots.c.run_id == run_id, snapshots.c.topic == topic)
        if step is not None:
            wanted = wanted.where(snapshots.c.step <= step)
        with self._engine.connect() as connection:
            row = connection.execute(
                wanted.order_by(snapshots.c.step.desc(), snapshots.c.id.desc()).limit(1)
            ).first()
        return self._record(run_id, row) if row else None

    def truncate_after(self, run_id: str, step: int) -> None:
        """Forget snapshots beyond `step`: a resumed run makes them again."""
        beyond = and_(snapshots.c.run_id == run_id, snapshots.c.step > step)
        with self._engine.begin() as connection:
            files = connection.execute(select(snapshots.c.file).where(beyond)).scalars().all()
            connection.execute(delete(snapshots).where(beyond))
        for file in files:
            if file:
                (self._folder_of(run_id) / file).unlink(missing_ok=True)

    def _record(self, run_id: str, row: Row[Any]) -> Tiles | Panel | None:
        about = json.loads(row.about)
        try:
            path = self._folder_of(run_id) / row.file
            arrays: dict[str, Any] = safetensors.numpy.load(path.read_bytes()) if row.file else {}
        except (OSError, SafetensorError):  # deleted under us, or the disk lost it: nothing to show
            return None
        where: dict[str, Any] = {"topic": row.topic, "step": row.step, "epoch": row.epoch, "time": row.time}
        if row.kind == "tiles":
            return Tiles(**where, **arrays, **about)
        return Panel(**where, data=about, arrays=arrays)


def _layer_order(topic: str) -> tuple[str, int, str]:
    kind, _, layer = topic.partition("/")
    return kind, int(layer) if layer.isdigit() else -1, layer
