"""Finding runs among many: one page of ids at a time, done by the database.

A run's state is derived and stands in no column (states.py). Only runs that claim a process and have
no exit record need a look at that process; for all others the columns decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from workbench.records import RunState
from workbench.specs.base import did_you_mean
from workbench.specs.errors import RunError
from workbench.store.schema import checkpoints, run_metrics, run_tags, runs
from workbench.store.states import PARKED, derive

GroupKey = Literal["data", "model", "tag"]
PLAIN: dict[str, ColumnElement[Any]] = {
    "created": runs.c.created,
    "name": func.lower(runs.c.name),
    "started": runs.c.started,
    "ended": runs.c.ended,
    "took": func.coalesce(
        runs.c.active_s, func.coalesce(runs.c.ended, runs.c.heartbeat, runs.c.started) - runs.c.started
    ),
    "progress": 1.0 * runs.c.step / func.nullif(runs.c.total_steps, 0),
}


@dataclass(frozen=True)
class Query:
    """Which runs. Empty fields ask nothing.

    text: every word must occur in name, id, data set, tags or note. states, data, model: one of them.
    tags: all of them. archived: None takes both. saved: only runs that have a checkpoint.
    """

    text: str = ""
    states: Sequence[RunState | str] = ()
    tags: Sequence[str] = ()
    archived: bool | None = None
    data: Sequence[str] = ()
    model: Sequence[str] = ()
    saved: bool = False


EVERYTHING = Query()


def page(
    connection: Connection, query: Query, sort_key: str, descending: bool, limit: int, offset: int
) -> tuple[list[str], int]:
    """Ids of one page in the asked order, and how many runs fit. Raises RunError for an unknown key."""
    fits = _conditions(connection, query)
    wanted = select(runs.c.id).where(*fits)
    kind, sign, key = sort_key.partition(":")
    if sign and kind in ("best", "last") and key:
        here = and_(run_metrics.c.run_id == runs.c.id, run_metrics.c.key == key)
        wanted = wanted.select_from(runs.outerjoin(run_metrics, here))
        by: ColumnElement[Any] = run_metrics.c[kind]
    elif sort_key in PLAIN:
        by = PLAIN[sort_key]
    else:
        raise RunError.of(
            f"sort `{sort_key}`", "runs are sorted by a column, best:KEY or last:KEY", "it is neither",
            did_you_mean(sort_key, PLAIN),
        )  # fmt: skip
    order: list[ColumnElement[Any]] = [by.desc() if descending else by.asc()]
    if sort_key != "created":
        order = [by.is_(None), *order, runs.c.created.desc()]
    wanted = wanted.order_by(*order, runs.c.id)
    if query.text:  # reading the texts once and counting here is quicker than reading them twice
        found = list(connection.execute(wanted).scalars())
        return found[offset : offset + limit], len(found)
    total = connection.execute(select(func.count()).select_from(runs).where(*fits)).scalar_one()
    return list(connection.execute(wanted.limit(limit).offset(offset)).scalars()), total


def groups(connection: Connection, by: GroupKey, query: Query) -> list[tuple[str, int]]:
    """Value and count of each group of the runs that fit, the largest first."""
    fits = _conditions(connection, query)
    n = func.count()
    if by == "tag":
        value: Any = run_tags.c.tag
        counted = select(value, n).select_from(runs.join(run_tags, run_tags.c.run_id == runs.c.id))
    else:
        value = runs.c[by]
        counted = select(value, n)
    counted = counted.where(*fits).group_by(value).order_by(n.desc(), value)
    return [(row[0], row[1]) for row in connection.execute(counted)]


def metric_keys(connection: Connection) -> list[str]:
    """Every key of any run. Walks from key to key along the index instead of reading all rows."""
    keys: list[str] = []
    while True:
        beyond = select(func.min(run_metrics.c.key))
        found = connection.execute(beyond.where(run_metrics.c.key > keys[-1]) if keys else beyond).scalar()
        if found is None:
            return keys
        keys.append(found)


def _conditions(connection: Connection, query: Query) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        runs.c.haystack.contains(word, autoescape=True) for word in query.text.lower().split()
    ]
    if query.archived is not None:
        found.append(runs.c.archived.is_(query.archived))
    if query.states:
        found.append(_in_states(connection, {RunState(state) for state in query.states}))
    if query.data:
        found.append(runs.c.data.in_(query.data))
    if query.model:
        found.append(runs.c.model.in_(query.model))
    found += [runs.c.id.in_(select(run_tags.c.run_id).where(run_tags.c.tag == tag)) for tag in query.tags]
    if query.saved:
        found.append(exists().where(checkpoints.c.run_id == runs.c.id))
    return found


def _in_states(connection: Connection, states: set[RunState]) -> ColumnElement[bool]:
    """Runs in any of these states, as they are at this moment."""
    open_run = runs.c.exit_kind.is_(None)
    parts: list[ColumnElement[bool]] = [runs.c.exit_kind.in_([state.value for state in states])]
    if RunState.PAUSED in states:
        parts.append(runs.c.exit_kind == PARKED)
    if RunState.QUEUED in states:
        parts.append(and_(open_run, runs.c.pid.is_(None), runs.c.queued.is_not(None)))
    if RunState.LOST in states:
        parts.append(and_(open_run, runs.c.pid.is_(None), runs.c.queued.is_(None)))
    claimed = select(
        runs.c.id, runs.c.phase, runs.c.pid, runs.c.pid_started, runs.c.host, runs.c.heartbeat
    ).where(open_run, runs.c.pid.is_not(None))
    there = [
        row.id
        for row in connection.execute(claimed)
        if derive(None, None, row.phase, row.pid, row.pid_started, row.host, row.heartbeat) in states
    ]
    if there:
        parts.append(runs.c.id.in_(there))
    return or_(*parts)
