"""Runs: rows that are facts, and the frozen value in which they leave the store."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, delete, func, or_, select, update

from workbench.records import RunState
from workbench.specs.base import did_you_mean
from workbench.specs.errors import RunError
from workbench.specs.likeness import like
from workbench.specs.run import RunSpec, from_dict
from workbench.store import schema
from workbench.store import search as searching
from workbench.store.labels import haystack, refresh
from workbench.store.search import EVERYTHING, GroupKey, Query
from workbench.store.states import derive

runs = schema.runs
RUN_TABLES = (
    schema.scalar_chunks, schema.scalar_folds, schema.events, schema.snapshots,
    schema.commands, schema.checkpoints, schema.run_tags, schema.run_metrics,
)  # fmt: skip
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that reads as something else


@dataclass(frozen=True)
class RunRow:
    """A run as it stands now. Times are Unix seconds; `state` was derived when this was read."""

    id: str
    name: str
    state: RunState
    spec_json: str
    created: float
    started: float | None
    ended: float | None
    pid: int | None
    step: int
    epoch: float
    total_steps: int | None
    device: str | None
    parent: str | None
    parent_checkpoint: str | None
    error: Mapping[str, Any] | None
    telemetry_share: float | None
    metrics: Mapping[str, Mapping[str, float]]
    eta_s: float | None
    heartbeat: float | None
    revision: int
    data: str = ""  # the data set's name
    model: str = ""  # the preset it is built like, or its family and depth
    tags: tuple[str, ...] = ()
    note: str = ""
    archived: bool = False

    @cached_property
    def spec(self) -> RunSpec:
        """The spec the run was started with, in today's version."""
        return from_dict(json.loads(self.spec_json))

    @property
    def progress(self) -> float:
        """Share of the planned updates that is done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0


class Runs:
    """Reads and writes of the runs table; one per store."""

    def __init__(self, engine: Engine, folder_of: Any) -> None:
        self._engine = engine
        self._folder_of = folder_of  # run id -> Path of its artifacts

    # ------------------------------------------------------------ reading

    def get(self, ref: str) -> RunRow:
        """The run with this id, unique id prefix or unique name. Raises RunError."""
        with self._engine.connect() as connection:
            row = connection.execute(select(runs).where(runs.c.id == ref)).first()
            if row is None:
                wanted = or_(runs.c.id.startswith(ref, autoescape=True), runs.c.name == ref)
                found = connection.execute(select(runs).where(wanted).limit(2)).all() if ref else []
                if len(found) > 1:
                    raise RunError.of(
                        f"run `{ref}`",
                        "a run must be named unmistakably",
                        "several runs match",
                        "Give the id.",
                    )
                row = found[0] if found else None
            if row is None:
                recent = select(runs.c.id, runs.c.name).order_by(runs.c.created.desc()).limit(200)
                names = [text for pair in connection.execute(recent) for text in pair]
                hint = did_you_mean(ref, names[:8]) if names else "There is no run yet: start one."
                raise RunError.of(f"run `{ref}`", "the run must exist", "no id or name matches", hint)
        return _frozen(row)

    def list(self, limit: int = 1000, offset: int = 0) -> list[RunRow]:
        """Runs, newest first."""
        newest = select(runs).order_by(runs.c.created.desc(), runs.c.id).limit(limit).offset(offset)
        with self._engine.connect() as connection:
            return [_frozen(row) for row in connection.execute(newest)]

    def many(self, run_ids: Sequence[str]) -> Sequence[RunRow]:
        """The runs with these ids, in this order; ids of runs that are gone are left out."""
        with self._engine.connect() as connection:
            return self._rows(connection, run_ids)

    def search(
        self, query: Query = EVERYTHING, *, sort_key: str = "created", descending: bool = True,
        limit: int = 50, offset: int = 0,
    ) -> tuple[Sequence[RunRow], int]:  # fmt: skip
        """One page of the runs that fit `query`, and how many fit in all.

        sort_key: created, name, started, ended, took, progress, or "best:KEY" / "last:KEY" of a metric;
        runs without the value come last. Raises RunError for another key.
        """
        with self._engine.connect() as connection:
            ids, total = searching.page(connection, query, sort_key, descending, limit, offset)
            return self._rows(connection, ids), total

    def groups(self, by: GroupKey, query: Query = EVERYTHING) -> Sequence[tuple[str, int]]:
        """How many runs that fit `query` share a data set, a model or a tag; the largest group first."""
        with self._engine.connect() as connection:
            return searching.groups(connection, by, query)

    def metric_keys(self) -> Sequence[str]:
        """Every key that any run has logged."""
        with self._engine.connect() as connection:
            return searching.metric_keys(connection)

    def _rows(self, connection: Connection, ids: Sequence[str]) -> Sequence[RunRow]:
        found = {row.id: row for row in connection.execute(select(runs).where(runs.c.id.in_(ids)))}
        return [_frozen(found[run_id]) for run_id in ids if run_id in found]

    def count(self) -> int:
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(runs)).scalar_one()

    def active(self) -> Sequence[RunRow]:
        """Runs that claim a process and have no exit record; the lost among them included."""
        claimed = select(runs).where(runs.c.pid.is_not(None), runs.c.exit_kind.is_(None))
        with self._engine.connect() as connection:
            return [_frozen(row) for row in connection.execute(claimed)]

    def next_queued(self) -> RunRow | None:
        """The run that waits longest."""
        waiting = select(runs).where(_waits()).order_by(runs.c.queued, runs.c.id).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(waiting).first()
        return _frozen(row) if row else None

    def revision(self, run_id: str) -> int:
        """A number that grows with every write concerning the run; -1 when there is no such run."""
        with self._engine.connect() as connection:
            found = connection.execute(select(runs.c.revision).where(runs.c.id == run_id)).scalar()
        return -1 if found is None else int(found)

    # ------------------------------------------------------------ writing

    def create(
        self, spec: RunSpec, *, parent: str | None = None, parent_checkpoint: str | None = None
    ) -> RunRow:
        """A new run at the end of the queue, its spec frozen as given."""
        run_id = time.strftime("%y%m%d-%H%M%S-") + "".join(secrets.choice(ALPHABET) for _ in range(4))
        now = time.time()
        values = {
            "id": run_id, "name": spec.name, "spec": spec.to_json(), "created": now, "queued": now,
            "parent": parent, "parent_checkpoint": parent_checkpoint,
            "step": 0, "epoch": 0.0, "metrics": "{}", "revision": 0,
            "data": spec.data.name, "model": like(spec.model),
            "haystack": haystack(run_id, spec.name, spec.data.name),
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(runs.insert().values(**values))
        self._folder_of(run_id).mkdir(parents=True, exist_ok=True)
        return self.get(run_id)

    def rename(self, run_id: str, name: str) -> None:
        if not name.strip() or len(name) > 200:
            raise RunError.of("name", "a name has 1 to 200 characters", f"this one has {len(name.strip())}")
        self._set(run_id, name=name.strip())
        with self._engine.begin() as connection:
            refresh(connection, [run_id])

    def delete(self, run_id: str) -> None:
        """Remove a run and everything it made. Raises RunError while a process works on it."""
        row = self.get(run_id)
        if row.state.is_active:
            raise RunError.of(
                f"run `{row.name}`", "only an ended run can be deleted", f"it is {row.state}", "Stop it."
            )
        folder: Path = self._folder_of(row.id)
        as_seen = and_(runs.c.id == row.id, runs.c.pid == row.pid)
        with self._engine.begin() as connection:
            if not connection.execute(delete(runs).where(as_seen)).rowcount:
                raise RunError.of(
                    f"run `{row.name}`", "only an ended run can be deleted", "it was started just now",
                    "Stop it.",
                )  # fmt: skip
            for table in RUN_TABLES:
                connection.execute(delete(table).where(table.c.run_id == row.id))
        shutil.rmtree(folder, ignore_errors=True)

    def requeue(self, run_id: str) -> None:
        """Back into the queue, history kept: the way a lost, failed or stopped run is resumed.

        Nothing changes when somebody else was faster: a process that works on it by now is not forgotten.
        """
        row = self.get(run_id)
        if not row.state.is_over:
            return
        values = {
            "exit_kind": None, "error": None, "ended": None, "pid": None, "pid_started": None, "host": None,
            "phase": None, "heartbeat": None, "eta_s": None, "queued": time.time(),
            "revision": runs.c.revision + 1,
        }  # fmt: skip
        with self._engine.begin() as connection:
            as_seen = and_(runs.c.id == row.id, runs.c.pid == row.pid)
            connection.execute(update(runs).where(as_seen).values(**values))

    def claim(self, run_id: str, pid: int, pid_started: float, host: str) -> bool:
        """Process `pid` takes the run; False when another was faster or it no longer waits."""
        now = time.time()
        values = {
            "pid": pid, "pid_started": pid_started, "host": host, "phase": "starting", "heartbeat": now,
            "queued": None, "started": func.coalesce(runs.c.started, now), "revision": runs.c.revision + 1,
        }  # fmt: skip
        with self._engine.begin() as connection:
            done = connection.execute(update(runs).where(runs.c.id == run_id, _waits()).values(**values))
        return bool(done.rowcount)

    def update(self, run_id: str, *, beat: bool = True, **facts: Any) -> None:
        """Set facts: phase, step, epoch, total_steps, device, telemetry_share, eta_s."""
        with self._engine.begin() as connection:
            self.write_facts(connection, run_id, beat=beat, **facts)

    def write_facts(self, connection: Connection, run_id: str, *, beat: bool = True, **facts: Any) -> None:
        """`update` inside a transaction of the caller's."""
        given = {key: value for key, value in facts.items() if value is not None}
        if beat:
            given["heartbeat"] = time.time()
        connection.execute(
            update(runs).where(runs.c.id == run_id).values(**given, revision=runs.c.revision + 1)
        )

    def beat(self, run_id: str) -> None:
        """A sign of life. Not a revision: nothing a viewer shows has changed."""
        with self._engine.begin() as connection:
            connection.execute(update(runs).where(runs.c.id == run_id).values(heartbeat=time.time()))

    def exit(self, run_id: str, kind: str, error: Mapping[str, Any] | None = None) -> bool:
        """Write the exit record, once: False when there is one already."""
        values = {
            "exit_kind": RunState(kind).value, "ended": time.time(), "queued": None, "eta_s": None,
            "error": json.dumps(dict(error)) if error else None, "revision": runs.c.revision + 1,
        }  # fmt: skip
        with self._engine.begin() as connection:
            open_run = and_(runs.c.id == run_id, runs.c.exit_kind.is_(None))
            return bool(connection.execute(update(runs).where(open_run).values(**values)).rowcount)

    def _set(self, run_id: str, **values: Any) -> None:
        with self._engine.begin() as connection:
            done = connection.execute(
                update(runs).where(runs.c.id == run_id).values(**values, revision=runs.c.revision + 1)
            )
        if not done.rowcount:
            raise RunError.of(f"run `{run_id}`", "the run must exist", "it does not")


def _waits() -> Any:
    return and_(runs.c.queued.is_not(None), runs.c.exit_kind.is_(None), runs.c.pid.is_(None))


def _frozen(row: Row[Any]) -> RunRow:
    return RunRow(
        id=row.id,
        name=row.name,
        state=derive(row.exit_kind, row.queued, row.phase, row.pid, row.pid_started, row.host, row.heartbeat),
        spec_json=row.spec,
        created=row.created,
        started=row.started,
        ended=row.ended,
        pid=row.pid,
        step=row.step,
        epoch=row.epoch,
        total_steps=row.total_steps,
        device=row.device,
        parent=row.parent,
        parent_checkpoint=row.parent_checkpoint,
        error=json.loads(row.error) if row.error else None,
        telemetry_share=row.telemetry_share,
        metrics=json.loads(row.metrics),
        eta_s=row.eta_s,
        heartbeat=row.heartbeat,
        revision=row.revision,
        data=row.data,
        model=row.model,
        tags=tuple(json.loads(row.tags)),
        note=row.note,
        archived=bool(row.archived),
    )
