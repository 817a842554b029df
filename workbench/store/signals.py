"""Small rows between processes: commands to a run, events of a run, drafts of a form, leases."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from workbench.records import Event
from workbench.store.schema import commands, drafts, events, leases, runs


@dataclass(frozen=True)
class Command:
    """What somebody asked of a run: pause, park, resume, stop, step {steps}, change {changes}."""

    id: int
    verb: str
    payload: Mapping[str, Any]
    time: float


@dataclass(frozen=True)
class Lease:
    """Who holds a name (the supervisor's, say) until `expires` (Unix s)."""

    name: str
    holder: str
    pid: int
    pid_started: float
    host: str
    expires: float


class Commands:
    """A mailbox per run; each command is handed out once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def post(self, run_id: str, verb: str, payload: Mapping[str, Any] | None = None) -> int:
        """Put a command into the mailbox; its number, to `withdraw` it."""
        with self._engine.begin() as connection:
            return put(connection, run_id, verb, payload or {})

    def withdraw(self, number: int) -> bool:
        """Take a command back; False when somebody has taken it."""
        unread = and_(commands.c.id == number, commands.c.taken.is_(False))
        with self._engine.begin() as connection:
            return connection.execute(delete(commands).where(unread)).rowcount > 0

    def left(self, run_id: str, pid: int) -> list[Command]:
        """What process `pid` never took of a run that it has ended; none once the run goes on elsewhere."""
        ended = select(runs.c.id).where(runs.c.id == run_id, runs.c.pid == pid, runs.c.exit_kind.is_not(None))
        unread = and_(commands.c.run_id.in_(ended), commands.c.taken.is_(False))
        with self._engine.begin() as connection:
            taking = update(commands).where(unread).values(taken=True).returning(commands)
            rows = connection.execute(taking).all()
        return [_command(row) for row in sorted(rows, key=lambda row: int(row.id))]

    def take(self, run_id: str) -> list[Command]:
        """Commands not yet taken, in order; taking marks them."""
        fresh = and_(commands.c.run_id == run_id, commands.c.taken.is_(False))
        with self._engine.connect() as connection:  # most polls find nothing: no write lock for those
            rows = connection.execute(select(commands).where(fresh).order_by(commands.c.id)).all()
        if not rows:
            return []
        with self._engine.begin() as connection:
            connection.execute(
                update(commands).where(commands.c.id.in_([r.id for r in rows])).values(taken=True)
            )
        return [_command(row) for row in rows]


def put(connection: Connection, run_id: str, verb: str, payload: Mapping[str, Any]) -> int:
    """Into the mailbox of a run, inside the caller's transaction; the command's number."""
    row = {"run_id": run_id, "verb": verb, "payload": json.dumps(dict(payload)), "time": time.time()}
    adding = commands.insert().values(**row, taken=False).returning(commands.c.id)
    return int(connection.execute(adding).scalar_one())


def _command(row: Row[Any]) -> Command:
    return Command(row.id, row.verb, json.loads(row.payload), row.time)


def empty(connection: Connection, run_id: str) -> None:
    """Forget what a former process of the run never took, inside the caller's transaction."""
    connection.execute(delete(commands).where(commands.c.run_id == run_id))


LONGEST_S = 120.0  # no lease is taken for longer

# What the engine tells once more when it walks the same steps again after a resume.
TOLD_AGAIN = ("changed", "validated", "best", "lr_drop", "early_stop")


class Events:
    """What happened to a run, append-only but for what is trained anew."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, connection: Connection, run_id: str, batch: Sequence[Event]) -> None:
        rows = [
            {
                "run_id": run_id, "kind": e.kind, "text": e.text, "step": e.step, "epoch": e.epoch,
                "time": e.time, "data": json.dumps(dict(e.data)),
            }
            for e in batch
        ]  # fmt: skip
        if rows:
            connection.execute(events.insert(), rows)

    def add(self, run_id: str, event: Event) -> None:
        """Append one event by itself; counts as a revision of the run."""
        with self._engine.begin() as connection:
            self.append(connection, run_id, [event])
            connection.execute(update(runs).where(runs.c.id == run_id).values(revision=runs.c.revision + 1))

    def truncate_after(self, connection: Connection, run_id: str, step: int) -> None:
        """Forget what will be told again of the steps beyond `step`, inside the caller's transaction."""
        told = and_(events.c.run_id == run_id, events.c.step > step, events.c.kind.in_(TOLD_AGAIN))
        connection.execute(delete(events).where(told))

    def since(self, run_id: str, cursor: int = 0) -> tuple[list[Event], int]:
        newer = select(events).where(events.c.run_id == run_id, events.c.id > cursor).order_by(events.c.id)
        with self._engine.connect() as connection:
            rows = connection.execute(newer).all()
        found = [Event(r.kind, r.text, r.step, r.epoch, r.time, json.loads(r.data)) for r in rows]
        return found, (rows[-1].id if rows else cursor)


class Drafts:
    """Texts of half-filled forms, so that a reload loses nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, draft_id: str, text: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(drafts).where(drafts.c.id == draft_id))
            connection.execute(drafts.insert().values(id=draft_id, text=text, time=time.time()))

    def prune(self, older_than_s: float) -> int:
        """Forget drafts that nobody has touched for so long; how many. What begins with a tilde is no
        draft but a choice of this home (the tour is over), and stays."""
        old = and_(drafts.c.time < time.time() - older_than_s, ~drafts.c.id.startswith("~"))
        with self._engine.begin() as connection:
            return int(connection.execute(delete(drafts).where(old)).rowcount)

    def get(self, draft_id: str) -> str | None:
        with self._engine.connect() as connection:
            return connection.execute(select(drafts.c.text).where(drafts.c.id == draft_id)).scalar()


class Leases:
    """Names that one process at a time may hold, for a while."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def acquire(self, name: str, holder: str, pid: int, pid_started: float, host: str, ttl_s: float) -> bool:
        """Take `name` when it is free, lapsed or already ours.

        One that lapses later than any could was written before the clock was set back; whoever holds it
        and lives renews it within a second, so it counts as lapsed.
        """
        now = time.time()
        values = {
            "holder": holder, "pid": pid, "pid_started": pid_started, "host": host, "expires": now + ttl_s
        }  # fmt: skip
        lapsed = or_(leases.c.expires < now, leases.c.expires > now + LONGEST_S)
        free = and_(leases.c.name == name, or_(lapsed, leases.c.holder == holder))
        try:
            with self._engine.begin() as connection:
                if connection.execute(update(leases).where(free).values(**values)).rowcount:
                    return True
                connection.execute(leases.insert().values(name=name, **values))
                return True
        except IntegrityError:
            return False

    def renew(self, name: str, holder: str, ttl_s: float) -> bool:
        """Hold on for `ttl_s` more seconds; False when somebody else holds it now."""
        ours = and_(leases.c.name == name, leases.c.holder == holder)
        with self._engine.begin() as connection:
            done = connection.execute(update(leases).where(ours).values(expires=time.time() + ttl_s))
        return bool(done.rowcount)

    def release(self, name: str, holder: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))

    def read(self, name: str) -> Lease | None:
        with self._engine.connect() as connection:
            r = connection.execute(select(leases).where(leases.c.name == name)).first()
        return Lease(r.name, r.holder, r.pid, r.pid_started, r.host, r.expires) if r else None
