"""The queue as rows: who waits, in which order, and who is held. All in the database, so it outlives
every process. Places are the numbers in `runs.queued`; the smallest comes first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, func, literal, select, update

from workbench.store.schema import lock, runs

APART = 1e-5  # between two places; Unix seconds in a float64 keep a quarter of a microsecond


def is_waiting() -> Any:
    """The condition of a run that stands in the queue, held or not."""
    return and_(runs.c.queued.is_not(None), runs.c.exit_kind.is_(None), runs.c.pid.is_(None))


def the_end() -> Any:
    """A place behind everybody, whatever the clock says: it may have been set back."""
    now = time.time()
    last = select(func.max(runs.c.queued)).scalar_subquery()
    return case((last >= now, last + APART), else_=literal(now))


def waiting(connection: Connection, held: bool = True) -> list[Any]:
    """Rows of the runs that wait, in the order of the queue. held: with those that are held."""
    wanted = is_waiting() if held else and_(is_waiting(), runs.c.held.is_(False))
    return list(connection.execute(select(runs).where(wanted).order_by(runs.c.queued, runs.c.id)))


def set_held(connection: Connection, run_ids: Sequence[str], held: bool) -> list[str]:
    """Hold or release those of `run_ids` that wait; the ids of those that changed."""
    those = and_(runs.c.id.in_(run_ids), is_waiting(), runs.c.held.is_(not held))
    found = list(connection.execute(select(runs.c.id).where(those)).scalars())
    values = {"held": held, "revision": runs.c.revision + 1}
    connection.execute(update(runs).where(those).values(**values))
    return found


def move(connection: Connection, run_id: str, before: str | None) -> bool:
    """Put a waiting run before another one, or at the end (None); False when one of them waits no more."""
    lock(connection)  # two people may move at once
    rows = waiting(connection)
    places = {row.id: row.queued for row in rows}
    order = [row.id for row in rows if row.id != run_id]
    if run_id not in places or (before is not None and before not in order):
        return False
    at = len(order) if before is None else order.index(before)
    low = places[order[at - 1]] if at else places[order[0]] - 2.0 if order else 0.0
    high = places[order[at]] if at < len(order) else low + 2.0
    if high - low > 2 * APART:  # room between its neighbours: nobody else need move
        values = {"queued": (low + high) / 2, "revision": runs.c.revision + 1}
        here = and_(runs.c.id == run_id, is_waiting())
        return bool(connection.execute(update(runs).where(here).values(**values)).rowcount)
    order.insert(at, run_id)
    place = -1.0
    for moved, old in zip(order, sorted(places.values()), strict=True):
        place = max(old, place + APART)
        if place != places[moved]:
            here = and_(runs.c.id == moved, is_waiting())
            values = {"queued": place, "revision": runs.c.revision + 1}
            connection.execute(update(runs).where(here).values(**values))
    return True
