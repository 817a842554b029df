"""Scalar histories as columnar chunks: one row per key and flush, never a row per step.

Long histories are summarised as they are written (folds.py), so that any range of any length is
drawn from a few thousand numbers and still holds every extreme.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from sqlalchemy import Connection, Engine, and_, delete, func, select, update

from workbench.records import Scalars
from workbench.store import folds
from workbench.store.schema import scalar_chunks as chunks
from workbench.store.schema import scalar_folds

Axis = Literal["step", "epoch", "time"]
RAW_PER_COLUMN = 64  # up to this many points a column, the points themselves are read
FINE_LIMIT = 4_000_000  # points; beyond, coarse buckets are fine enough: several still share a column


class ScalarStore:
    """Append and read; the cursor is the number of the last chunk seen."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._unfolded: dict[tuple[str, str], list[Scalars]] = {}

    def append(self, connection: Connection, run_id: str, batch: Sequence[Scalars]) -> None:
        """Write chunks inside the caller's transaction. Call `forget` when that fails."""
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
            for part in batch:
                self._fold(connection, run_id, part)
            connection.execute(chunks.insert(), rows)

    def forget(self, run_id: str) -> None:
        """Drop what is remembered of a run between flushes, as after a failed transaction."""
        for owner in [owner for owner in self._unfolded if owner[0] == run_id]:
            del self._unfolded[owner]

    def _fold(self, connection: Connection, run_id: str, part: Scalars) -> None:
        owner = (run_id, part.key)
        if owner not in self._unfolded:
            self._unfolded[owner] = self._after_folds(connection, run_id, part.key)
        waiting = self._unfolded[owner]
        if len(part):
            waiting.append(part)
        n = sum(len(piece) for piece in waiting)
        if n < folds.FOLD:
            return
        whole = join(waiting)
        full = n - n % folds.FOLD
        rows = [
            _fold_row(run_id, cut(whole, start, start + folds.FOLD)) for start in range(0, full, folds.FOLD)
        ]
        connection.execute(scalar_folds.insert(), rows)
        self._unfolded[owner] = [cut(whole, full, n)] if n > full else []

    def _after_folds(self, connection: Connection, run_id: str, key: str) -> list[Scalars]:
        """Points of `key` that no fold covers yet."""
        this = and_(scalar_folds.c.run_id == run_id, scalar_folds.c.key == key)
        folded = connection.execute(select(func.max(scalar_folds.c.last_step)).where(this)).scalar()
        begin = -(2**62) if folded is None else folded + 1
        return self._raw(connection, run_id, key, begin, 2**62)

    def _raw(self, connection: Connection, run_id: str, key: str, low: int, high: int) -> list[Scalars]:
        """Points of steps low..high, both included, as chunks in step order."""
        wanted = (
            select(chunks.c.n, chunks.c.points)
            .where(chunks.c.run_id == run_id, chunks.c.key == key)
            .where(chunks.c.last_step >= low, chunks.c.first_step <= high)
            .order_by(chunks.c.first_step, chunks.c.id)
        )
        parts = [unpack(key, row.n, row.points) for row in connection.execute(wanted)]
        return [piece for piece in (between(part, low, high) for part in parts) if len(piece)]

    def overview(
        self,
        run_id: str,
        key: str,
        *,
        axis: Axis = "step",
        low: float = -np.inf,
        high: float = np.inf,
        columns: int = 1000,
    ) -> Scalars:
        """The points that draw [low, high] of `axis` in about `columns` columns of pixels.

        Each column is a group of consecutive points; its smallest, largest, last and first
        non-finite value are all there, at their true steps. Few points come as they are.
        """
        with self._engine.connect() as connection:
            covers = self._covers(connection, run_id, key, axis, low, high)
            first, last, n_folds = covers
            about = n_folds * folds.FOLD
            if about <= columns * RAW_PER_COLUMN:
                parts = self._raw(connection, run_id, key, first, last)
                whole = _within(join(parts), axis, low, high) if parts else _nothing(key)
                if len(whole) <= 4 * columns:
                    return whole
                return folds.points(key, folds.summarise(whole, -(-len(whole) // columns)))
            size, column = (
                (folds.FINE, scalar_folds.c.fine)
                if about <= FINE_LIMIT
                else (folds.COARSE, scalar_folds.c.coarse)
            )
            wanted = (
                select(column, scalar_folds.c.last_step)
                .where(scalar_folds.c.run_id == run_id, scalar_folds.c.key == key)
                .where(scalar_folds.c.last_step >= first, scalar_folds.c.first_step <= last)
                .order_by(scalar_folds.c.first_step)
            )
            rows = connection.execute(wanted).all()
            tail = self._raw(connection, run_id, key, rows[-1].last_step + 1, last)
        cut_to = [np.frombuffer(row[0], "<f8").reshape(-1, folds.COLUMNS) for row in rows]
        if tail:
            cut_to.append(folds.summarise(join(tail), size))
        buckets = np.concatenate(cut_to)
        inside = (buckets[:, folds.AT[f"last_{axis}"]] >= low) & (
            buckets[:, folds.AT[f"first_{axis}"]] <= high
        )
        return folds.fit(key, buckets[inside], columns)

    def _covers(
        self, connection: Connection, run_id: str, key: str, axis: Axis, low: float, high: float
    ) -> tuple[int, int, int]:
        """(first step, last step, folds touched) of a range of any axis; never too small a range."""
        this = and_(scalar_folds.c.run_id == run_id, scalar_folds.c.key == key)
        spans = select(scalar_folds.c.first_step, scalar_folds.c.last_step).where(this)
        if axis == "step":
            first = int(np.clip(np.floor(low), -(2.0**62), 2.0**62)) if np.isfinite(low) else -(2**62)
            last = int(np.clip(np.ceil(high), -(2.0**62), 2.0**62)) if np.isfinite(high) else 2**62
            touched = spans.where(scalar_folds.c.last_step >= first, scalar_folds.c.first_step <= last)
            return first, last, len(connection.execute(touched).all())
        rows = connection.execute(
            spans.add_columns(scalar_folds.c.coarse).order_by(scalar_folds.c.first_step)
        ).all()
        begin, end = folds.AT[f"first_{axis}"], folds.AT[f"last_{axis}"]
        first, last, n = -(2**62), 2**62, 0
        for row in rows:
            buckets = np.frombuffer(row.coarse, "<f8").reshape(-1, folds.COLUMNS)
            if buckets[-1, end] < low:
                first = row.last_step + 1
            elif buckets[0, begin] > high:
                last = row.first_step - 1
                break
            else:
                n += 1
        return first, last, n

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

    def sizes(self, run_id: str) -> tuple[dict[str, int], int]:
        """How many points each key has, and the cursor behind all of them."""
        folded = (
            select(scalar_folds.c.key, func.count().label("n"))
            .where(scalar_folds.c.run_id == run_id)
            .group_by(scalar_folds.c.key)
        )
        of_run = chunks.c.run_id == run_id
        with self._engine.connect() as connection:
            newest = connection.execute(select(func.max(chunks.c.id)).where(of_run)).scalar()
            known = {row.key: row.n * folds.FOLD for row in connection.execute(folded)}
            keys = connection.execute(select(chunks.c.key).where(of_run).distinct()).scalars().all()
            sizes = {
                key: known.get(key, 0) + sum(map(len, self._after_folds(connection, run_id, key)))
                for key in keys
            }
        return sizes, newest or 0

    def keys(self, run_id: str) -> list[str]:
        with self._engine.connect() as connection:
            found = connection.execute(select(chunks.c.key).where(chunks.c.run_id == run_id).distinct())
            return sorted(found.scalars())

    def truncate_after(self, run_id: str, step: int) -> None:
        """Drop the points of steps beyond `step`: a resumed run walks those again."""
        beyond = and_(chunks.c.run_id == run_id, chunks.c.last_step > step)
        self.forget(run_id)
        with self._engine.begin() as connection:
            connection.execute(
                delete(scalar_folds).where(scalar_folds.c.run_id == run_id, scalar_folds.c.last_step > step)
            )
            rows = connection.execute(select(chunks).where(beyond, chunks.c.first_step <= step)).all()
            connection.execute(delete(chunks).where(beyond, chunks.c.first_step > step))
            for row in rows:
                part = unpack(row.key, row.n, row.points)
                kept = between(part, -(2**62), step)
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


def cut(part: Scalars, start: int, end: int) -> Scalars:
    """Points number start..end-1."""
    here = slice(start, end)
    return Scalars(part.key, part.steps[here], part.epochs[here], part.times[here], part.values[here])


def between(part: Scalars, low: int, high: int) -> Scalars:
    """Points of steps low..high, both included."""
    start, end = np.searchsorted(part.steps, [low, high + 1])
    return cut(part, int(start), int(end))


def _within(part: Scalars, axis: Axis, low: float, high: float) -> Scalars:
    along = {"step": part.steps, "epoch": part.epochs, "time": part.times}[axis]
    inside = np.flatnonzero((along >= low) & (along <= high))
    return cut(part, int(inside[0]), int(inside[-1]) + 1) if len(inside) else _nothing(part.key)


def _nothing(key: str) -> Scalars:
    empty = np.empty(0)
    return Scalars(key, empty.astype(np.int64), empty, empty, empty)


def _fold_row(run_id: str, part: Scalars) -> dict[str, object]:
    fine = folds.summarise(part, folds.FINE)
    coarse = folds.merge(fine, folds.COARSE // folds.FINE)
    return {
        "run_id": run_id, "key": part.key, "first_step": int(part.steps[0]), "last_step": int(part.steps[-1]),
        "coarse": coarse.astype("<f8").tobytes(), "fine": fine.astype("<f8").tobytes(),
    }  # fmt: skip
