"""Scalar histories as columnar chunks: one row per key and flush, never a row per step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, Engine, and_, delete, select, update

from workbench.records import Scalars
from workbench.store.schema import scalar_chunks as chunks


class ScalarStore:
    """Append and read; the cursor is the number of the last chunk seen."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, connection: Connection, run_id: str, batch: Sequence[Scalars]) -> None:
        """Write chunks inside the caller's transaction."""
        rows = [
            {
                "run_id": run_id,
                "key": part.key,
                "first_step": int(part.steps[0]),
                "last_step": int(part.steps[-1]),
                "n": len(part),
                "points": pack(part),
            }
            for part in batch
            if len(part)
        ]
        if rows:
            connection.execute(chunks.insert(), rows)

    def since(self, run_id: str, cursor: int = 0, limit: int = 10_000) -> tuple[list[Scalars], int]:
        """Chunks written after `cursor`, oldest first, and the cursor to go on from."""
        newer = (
            select(chunks.c.id, chunks.c.key, chunks.c.n, chunks.c.points)
            .where(chunks.c.run_id == run_id, chunks.c.id > cursor)
            .order_by(chunks.c.id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(newer).all()
        return [unpack(row.key, row.n, row.points) for row in rows], (rows[-1].id if rows else cursor)

    def read(self, run_id: str, keys: Sequence[str] | None = None) -> dict[str, Scalars]:
        """Whole histories by key, in step order."""
        wanted = select(chunks.c.key, chunks.c.n, chunks.c.points).where(chunks.c.run_id == run_id)
        if keys is not None:
            wanted = wanted.where(chunks.c.key.in_(list(keys)))
        parts: dict[str, list[Scalars]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(wanted.order_by(chunks.c.id)):
                parts.setdefault(row.key, []).append(unpack(row.key, row.n, row.points))
        return {key: join(found) for key, found in parts.items()}

    def keys(self, run_id: str) -> list[str]:
        with self._engine.connect() as connection:
            found = connection.execute(select(chunks.c.key).where(chunks.c.run_id == run_id).distinct())
            return sorted(found.scalars())

    def truncate_after(self, run_id: str, step: int) -> None:
        """Drop the points of steps beyond `step`: a resumed run walks those again."""
        beyond = and_(chunks.c.run_id == run_id, chunks.c.last_step > step)
        with self._engine.begin() as connection:
            rows = connection.execute(select(chunks).where(beyond, chunks.c.first_step <= step)).all()
            connection.execute(delete(chunks).where(beyond, chunks.c.first_step > step))
            for row in rows:
                part = unpack(row.key, row.n, row.points)
                keep = part.steps <= step
                kept = Scalars(
                    part.key, part.steps[keep], part.epochs[keep], part.times[keep], part.values[keep]
                )
                values = {"n": len(kept), "last_step": int(kept.steps[-1]), "points": pack(kept)}
                connection.execute(update(chunks).where(chunks.c.id == row.id).values(**values))


def pack(part: Scalars) -> bytes:
    """The four columns, little-endian, one after the other: 32 bytes a point."""
    columns = (
        np.asarray(part.steps, "<i8"),
        np.asarray(part.epochs, "<f8"),
        np.asarray(part.times, "<f8"),
        np.asarray(part.values, "<f8"),
    )
    return b"".join(np.ascontiguousarray(column).tobytes() for column in columns)


def unpack(key: str, n: int, points: bytes) -> Scalars:
    floats = np.frombuffer(points, "<f8", offset=8 * n).reshape(3, n)
    return Scalars(key, np.frombuffer(points, "<i8", count=n), floats[0], floats[1], floats[2])


def join(parts: Sequence[Scalars]) -> Scalars:
    """Chunks of one key as one."""
    if len(parts) == 1:
        return parts[0]
    columns = ("steps", "epochs", "times", "values")
    return Scalars(
        parts[0].key, *(np.concatenate([getattr(part, name) for part in parts]) for name in columns)
    )
