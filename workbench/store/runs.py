"""Runs: the table of facts, read and written. Values leave it as `RunRow` (rows.py)."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, and_, delete, func, or_, select, update

from workbench.specs.base import did_you_mean
from workbench.specs.errors import RunError
from workbench.specs.likeness import like
from workbench.specs.run import RunSpec
from workbench.store import queue, schema, sheets, signals
from workbench.store import search as searching
from workbench.store.labels import haystack, refresh
from workbench.store.queue import is_waiting
from workbench.store.rows import RunRow, frozen
from workbench.store.search import EVERYTHING, GroupKey, Query
from workbench.store.states import PARKED

runs = schema.runs
RUN_TABLES = (
    schema.scalar_chunks, schema.scalar_folds, schema.events, schema.snapshots,
    schema.commands, schema.checkpoints, schema.run_tags, schema.run_metrics, schema.ledger,
)  # fmt: skip
EXITS = ("finished", "stopped", "failed", "lost", PARKED)
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that reads as something else


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
        return frozen(row)

    def list(self, limit: int = 1000, offset: int = 0) -> list[RunRow]:
        """Runs, newest first."""
        newest = select(runs).order_by(runs.c.created.desc(), runs.c.id).limit(limit).offset(offset)
        with self._engine.connect() as connection:
            return [frozen(row) for row in connection.execute(newest)]

    def many(self, run_ids: Sequence[str]) -> Sequence[RunRow]:
        """The runs with these ids, in this order; ids of runs that are gone are left out."""
        with self._engine.connect() as connection:
            return self._rows(connection, run_ids)

    def concerning(self, run_id: str) -> Sequence[RunRow]:
        """The runs that were forked off this one, and those whose spec holds its id (a student's its
        teacher), newest first: among all there are, not among the newest."""
        either = or_(runs.c.parent == run_id, runs.c.spec.contains(run_id, autoescape=True))
        newest = select(runs).where(either, runs.c.id != run_id).order_by(runs.c.created.desc(), runs.c.id)
        with self._engine.connect() as connection:
            return [frozen(row) for row in connection.execute(newest)]

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
        return [frozen(found[run_id]) for run_id in ids if run_id in found]

    def count(self) -> int:
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(runs)).scalar_one()

    def active(self) -> Sequence[RunRow]:
        """Runs that claim a process and have no exit record; the lost among them included."""
        claimed = select(runs).where(runs.c.pid.is_not(None), runs.c.exit_kind.is_(None))
        with self._engine.connect() as connection:
            return [frozen(row) for row in connection.execute(claimed)]

    def waiting(self, held: bool = True) -> Sequence[RunRow]:
        """The runs that wait, in the order of the queue. held: with those that are held, at their places."""
        with self._engine.connect() as connection:
            return [frozen(row) for row in queue.waiting(connection, held)]

    def peaks(self, data: str, model: str, limit: int = 50) -> Sequence[tuple[int, str]]:
        """Measured memory (bytes) and spec of runs on this data set with a model like this, newest first.

        Only of runs that got far enough to have shown all they take: a validation at least.
        """
        whole = or_(runs.c.exit_kind.in_(("finished", "stopped", PARKED)), runs.c.epoch >= 1.0)
        measured = select(runs.c.peak_bytes, runs.c.spec).where(
            runs.c.peak_bytes.is_not(None), runs.c.data == data, runs.c.model == model, whole
        )
        with self._engine.connect() as connection:
            found = connection.execute(measured.order_by(runs.c.created.desc()).limit(limit))
            return [(row.peak_bytes, row.spec) for row in found]

    def next_queued(self) -> RunRow | None:
        """The first run of the queue that nobody holds."""
        first = select(runs).where(is_waiting(), runs.c.held.is_(False))
        with self._engine.connect() as connection:
            row = connection.execute(first.order_by(runs.c.queued, runs.c.id).limit(1)).first()
        return frozen(row) if row else None

    def revision(self, run_id: str) -> int:
        """A number that grows with every write concerning the run; -1 when there is no such run."""
        with self._engine.connect() as connection:
            found = connection.execute(select(runs.c.revision).where(runs.c.id == run_id)).scalar()
        return -1 if found is None else int(found)

    # ------------------------------------------------------------ writing

    def create(
        self, spec: RunSpec, *, parent: str | None = None, parent_checkpoint: str | None = None,
        held: bool = False,
    ) -> RunRow:  # fmt: skip
        """A new run at the end of the queue, its spec frozen as given. held: it waits to be released."""
        run_id = time.strftime("%y%m%d-%H%M%S-") + "".join(secrets.choice(ALPHABET) for _ in range(4))
        now = time.time()
        values = {
            "id": run_id, "name": spec.name, "spec": spec.to_json(), "created": now,
            "queued": queue.the_end(), "held": held, "parent": parent, "parent_checkpoint": parent_checkpoint,
            "step": 0, "epoch": 0.0, "metrics": "{}", "revision": 0,
            "data": spec.data.name, "model": like(spec.model),
            "haystack": haystack(run_id, spec.name, spec.data.name),
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(runs.insert().values(**values))
        folder: Path = self._folder_of(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        lineage = {"parent": parent, "parent_checkpoint": parent_checkpoint}
        sheets.put(folder, sheets.SPEC, {"id": run_id, "created": now, **lineage, "spec": values["spec"]})
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
        if row.at_work:
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

    def requeue(self, run_id: str, asked: tuple[str, Mapping[str, Any]] | None = None) -> bool:
        """Back into the queue, history kept: the way a lost, failed or stopped run is resumed.

        asked: the verb and payload that its next process finds in the mailbox; what its former one never
        took goes. False, and nothing changes, when somebody else was faster: a process that works on it by
        now is not forgotten, nor what it was asked.
        """
        row = self.get(run_id)
        if not row.state.is_over and not row.parked:
            return False
        values = {
            "exit_kind": None, "error": None, "ended": None, "pid": None, "pid_started": None, "host": None,
            "phase": None, "heartbeat": None, "eta_s": None, "queued": queue.the_end(), "held": False,
            "revision": runs.c.revision + 1,
        }  # fmt: skip
        with self._engine.begin() as connection:
            as_seen = and_(runs.c.id == row.id, runs.c.pid == row.pid)
            done = connection.execute(update(runs).where(as_seen).values(**values)).rowcount > 0
            if done:
                signals.empty(connection, row.id)
            if done and asked:
                signals.put(connection, row.id, *asked)
        if done:
            sheets.drop(self._folder_of(row.id), sheets.EXIT)
        return done

    def hold(self, run_ids: Sequence[str]) -> Sequence[str]:
        """Keep waiting runs from being started; the ids of those that were not held before."""
        with self._engine.begin() as connection:
            return queue.set_held(connection, run_ids, held=True)

    def release(self, run_ids: Sequence[str]) -> Sequence[str]:
        """Let held runs be started when their turn comes, at the place they kept; the ids of those."""
        with self._engine.begin() as connection:
            return queue.set_held(connection, run_ids, held=False)

    def move(self, run_id: str, before: str | None) -> bool:
        """Put a waiting run before another, or at the end (None); False when one of them waits no more."""
        with self._engine.begin() as connection:
            return queue.move(connection, run_id, before)

    def claim(
        self, run_id: str, pid: int, pid_started: float, host: str, *,
        slot: str | None = None, held_too: bool = False,
    ) -> bool:  # fmt: skip
        """Process `pid` takes the run; False when another was faster, it is held, or waits no longer.

        slot: the device slot it takes; None leaves what was known. held_too: a held one as well.
        """
        now = time.time()
        values = {
            "pid": pid, "pid_started": pid_started, "host": host, "phase": "starting", "heartbeat": now,
            "queued": None, "started": func.coalesce(runs.c.started, now), "revision": runs.c.revision + 1,
        }  # fmt: skip
        if slot is not None:
            values["slot"] = slot
        free = is_waiting() if held_too else and_(is_waiting(), runs.c.held.is_(False))
        with self._engine.begin() as connection:
            done = connection.execute(update(runs).where(runs.c.id == run_id, free).values(**values))
        return bool(done.rowcount)

    def update(self, run_id: str, *, beat: bool = True, **facts: Any) -> None:
        """Set facts: phase, step, epoch, total_steps, device, telemetry_share, eta_s, slot, peak_bytes …"""
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

    def exit(
        self, run_id: str, kind: str, error: Mapping[str, Any] | None = None, *, pid: int | None = None
    ) -> bool:
        """Write the exit record, once: False when there is one already.

        kind: finished, stopped, failed, lost; or parked, when its process ended and it waits to go on.
        pid: only while this is the run's process; False when it was resumed meanwhile.
        """
        if kind not in EXITS:
            raise ValueError(f"a run cannot end as {kind!r}")
        values = {
            "exit_kind": kind, "ended": time.time(), "queued": None, "eta_s": None,
            "error": json.dumps(dict(error)) if error else None, "revision": runs.c.revision + 1,
        }  # fmt: skip
        with self._engine.begin() as connection:
            unended = or_(runs.c.exit_kind.is_(None), runs.c.exit_kind == PARKED)  # a parked one may end
            open_run = and_(runs.c.id == run_id, unended)
            if pid is not None:
                open_run = and_(open_run, runs.c.pid == pid)
            done = connection.execute(update(runs).where(open_run).values(**values))
        if done.rowcount:
            facts = {"kind": kind, "ended": values["ended"], "error": dict(error) if error else None}
            sheets.put(self._folder_of(run_id), sheets.EXIT, facts)
        return bool(done.rowcount)

    def _set(self, run_id: str, **values: Any) -> None:
        with self._engine.begin() as connection:
            done = connection.execute(
                update(runs).where(runs.c.id == run_id).values(**values, revision=runs.c.revision + 1)
            )
        if not done.rowcount:
            raise RunError.of(f"run `{run_id}`", "the run must exist", "it does not")
