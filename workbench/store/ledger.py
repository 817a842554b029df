"""The ledger of a run: what was changed while it trained. Replaying it reproduces the run.

A line at step s is in force from the update after s. Lines are in step order, and at one step in the
order in which they were written.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, and_, delete, select, update

from workbench.records import Change
from workbench.specs.errors import StoreError
from workbench.store.schema import ledger, runs


class Ledger:
    """Add, list, copy; `append` writes inside the transaction of a flush."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, connection: Connection, run_id: str, changes: Sequence[Change]) -> None:
        """New lines, inside the caller's transaction."""
        if changes:
            connection.execute(ledger.insert(), [_line(run_id, change) for change in changes])

    def add(self, run_id: str, changes: Sequence[Change]) -> None:
        """New lines by themselves; counts as a revision of the run."""
        with self._engine.begin() as connection:
            self.append(connection, run_id, changes)
            _revised(connection, run_id)

    def rewrite(self, run_id: str, change: Change, *, pid: int | None) -> bool:
        """A line at a step that lies behind: the run goes on from there with it.

        What it sets is the last word: lines of later steps, whose effect is trained anew, lose these paths.
        pid: the run's process as the caller saw it, over or none. False, and nothing is written, when
        another one has the run by now: it has read its ledger already.
        """
        idle = and_(runs.c.id == run_id, runs.c.pid == pid)
        with self._engine.begin() as connection:
            # First of all, so that nobody can claim the run before this transaction ends.
            seen = connection.execute(update(runs).where(idle).values(revision=runs.c.revision + 1))
            if not seen.rowcount:
                return False
            later = select(ledger).where(ledger.c.run_id == run_id, ledger.c.step > change.step)
            for row in connection.execute(later).all():
                known = _read(row.step, row.changes)
                left = {path: value for path, value in known.items() if path not in change.changes}
                here = ledger.c.id == row.id
                if not left:
                    connection.execute(delete(ledger).where(here))
                elif left != known:
                    connection.execute(update(ledger).where(here).values(changes=json.dumps(left)))
            self.append(connection, run_id, [change])
        return True

    def list(self, run_id: str) -> list[Change]:
        """The lines of a run, in the order in which they come into force. Raises StoreError for one that
        cannot be read."""
        wanted = select(ledger).where(ledger.c.run_id == run_id).order_by(ledger.c.step, ledger.c.id)
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).all()
        return [Change(row.step, _read(row.step, row.changes), row.time) for row in rows]

    def copy(self, parent: str, child: str) -> int:
        """Give `child` the lines of `parent`, to replay them; how many."""
        lines = self.list(parent)
        self.add(child, lines)
        return len(lines)


def _read(step: int, text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    raise StoreError.of(
        f"ledger, after step {step:,}", "a line must hold paths with their values", f"it holds {text[:60]!r}",
        "Fork the run without a replay: that leaves the ledger behind.",
    )  # fmt: skip


def _line(run_id: str, change: Change) -> dict[str, object]:
    changes = json.dumps(dict(change.changes))
    return {"run_id": run_id, "step": change.step, "changes": changes, "time": change.time}


def _revised(connection: Connection, run_id: str) -> None:
    connection.execute(update(runs).where(runs.c.id == run_id).values(revision=runs.c.revision + 1))
