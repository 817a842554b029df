"""One handle on everything kept: the database, and the folder of artifacts.

The only room that knows paths and SQL. A store is safe to share between threads and must not be
shared over a fork: close it before, open it again after.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import delete, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from workbench.records import Change, Event, Panel, Record, Scalars, Tiles
from workbench.specs.errors import RunError, StoreError
from workbench.store import schema, sheets
from workbench.store.checkpoints import Checkpoints
from workbench.store.datasets import Datasets
from workbench.store.labels import Labels
from workbench.store.ledger import Ledger
from workbench.store.metrics import merge_metrics, write_rows
from workbench.store.presets import Presets
from workbench.store.runs import Runs
from workbench.store.scalars import ScalarStore
from workbench.store.signals import Commands, Drafts, Events, Leases
from workbench.store.snapshots import Snapshots
from workbench.store.weights import Weights

RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
PRESETS = "presets"  # the folder of the home that holds presets of one's own


class Store:
    """The parts, by noun: `store.runs`, `store.scalars`, `store.snapshots` and so on."""

    def __init__(self, home: Path, url: str, artifacts: Path) -> None:
        self.home = home
        self.url = url
        self.artifacts = artifacts
        self._engine = schema.connect(url)
        self._file = self._engine.url.database if self._engine.dialect.name == "sqlite" else None
        self._opened = _identity(self._file)
        self.runs = Runs(self._engine, self.run_folder)
        self.labels = Labels(self._engine)
        self.scalars = ScalarStore(self._engine)
        self.events = Events(self._engine)
        self.ledger = Ledger(self._engine)
        self.snapshots = Snapshots(self._engine, self.run_folder)
        self.commands = Commands(self._engine)
        self.checkpoints = Checkpoints(self._engine, self.run_folder)
        self.datasets = Datasets(self._engine, artifacts)
        self.drafts = Drafts(self._engine)
        self.leases = Leases(self._engine)
        self.presets = Presets(home / PRESETS)
        self.weights = Weights(artifacts / "weights")

    def must_be_there(self) -> None:
        """Raises StoreError when the database file was removed or replaced since this was opened.

        SQLite would go on writing into the removed file, and nobody could read it ever again.
        """
        if _identity(self._file) != self._opened:
            raise StoreError.of(
                str(self._file), "the home must stay where it is while something runs in it",
                "it was removed or replaced", "Start again in the new home.",
            )  # fmt: skip

    def run_folder(self, run_id: str) -> Path:
        """Where a run's artifacts lie. Raises RunError for what cannot be a run id."""
        if not RUN_ID.fullmatch(run_id):
            raise RunError.of("run id", "an id has letters, digits, - and _ only", f"it is {run_id[:80]!r}")
        return self.artifacts / "runs" / run_id

    def log_path(self, run_id: str) -> Path:
        """The file that takes everything the run's process prints."""
        return self.run_folder(run_id) / "log.txt"

    def sheet(self, run_id: str, name: str) -> dict[str, Any] | None:
        """Facts kept in the run's folder under a name; None where there are none that can be read."""
        return sheets.read(self.run_folder(run_id), f"{name}.json")

    def put_sheet(self, run_id: str, name: str, facts: Mapping[str, Any]) -> None:
        """Keep facts in the run's folder, whole or not at all; a full disk keeps none."""
        sheets.put(self.run_folder(run_id), f"{name}.json", facts)

    def flush(
        self, run_id: str, records: Iterable[Record], changes: Sequence[Change] = (), **progress: Any
    ) -> None:
        """Write what was seen and how far the run is, in one transaction.

        changes: lines of the ledger that came into force since the last flush.
        progress: any of step, epoch, total_steps, phase, device, telemetry_share, eta_s.
        """
        kept = list(records)
        scalars = [r for r in kept if isinstance(r, Scalars) and len(r)]
        pictures = [self.snapshots.write_arrays(run_id, r) for r in kept if isinstance(r, Tiles | Panel)]
        try:
            with self._engine.begin() as connection:
                if scalars:
                    known = connection.execute(
                        select(schema.runs.c.metrics).where(schema.runs.c.id == run_id)
                    ).scalar()
                    merged = merge_metrics(
                        json.loads(known or "{}"), [(r.key, r.steps, r.values) for r in scalars]
                    )
                    progress["metrics"] = json.dumps(merged)
                    write_rows(connection, run_id, merged, {r.key for r in scalars})
                self.scalars.append(connection, run_id, scalars)
                self.snapshots.append(connection, pictures)
                self.events.append(connection, run_id, [r for r in kept if isinstance(r, Event)])
                self.ledger.append(connection, run_id, changes)
                self.runs.write_facts(connection, run_id, **progress)
        except BaseException:  # also one that only the commit met; the same records may come again
            self.scalars.forget(run_id)
            raise

    def truncate_after(self, run_id: str, step: int) -> None:
        """Forget scalars and snapshots beyond `step`, and what they made of best and last values."""
        self.scalars.truncate_after(run_id, step)
        self.snapshots.truncate_after(run_id, step)
        history = self.scalars.read(run_id)
        merged = merge_metrics({}, [(key, part.steps, part.values) for key, part in history.items()])
        with self._engine.begin() as connection:
            connection.execute(delete(schema.run_metrics).where(schema.run_metrics.c.run_id == run_id))
            write_rows(connection, run_id, merged, merged)
            self.events.truncate_after(connection, run_id, step)
            self.runs.write_facts(connection, run_id, metrics=json.dumps(merged), step=step)

    def close(self) -> None:
        self._engine.dispose()


def _identity(file: str | None) -> tuple[int, int] | None:
    """Which file this is, whatever it is called; None for a server's database and for no file."""
    if file is None:
        return None
    try:
        facts = os.stat(file)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def places(home: Path | None = None) -> tuple[Path, str, Path]:
    """Home, database address and artifact folder that the environment names: WORKBENCH_HOME,
    WORKBENCH_STORE, WORKBENCH_ARTIFACTS. Opens and makes nothing."""
    place = (
        Path(home or os.environ.get("WORKBENCH_HOME") or Path.home() / ".workbench").expanduser().resolve()
    )
    artifacts = Path(os.environ.get("WORKBENCH_ARTIFACTS") or place / "artifacts").expanduser().resolve()
    return place, os.environ.get("WORKBENCH_STORE") or f"sqlite:///{place / 'workbench.db'}", artifacts


def own_presets(home: Path | None = None) -> Presets:
    """The presets kept in the home; opens no database."""
    return Presets(places(home)[0] / PRESETS)


def database_file(url: str) -> Path | None:
    """The file of an embedded database; None for a server's."""
    with contextlib.suppress(SQLAlchemyError):
        address = make_url(url)
        if address.get_backend_name() == "sqlite" and address.database:
            return Path(address.database)
    return None


def open_store(home: Path | None = None) -> Store:
    """The store that the environment names, made where there is none.

    Raises StoreError when it cannot be opened as it is.
    """
    place, url, artifacts = places(home)
    for folder in (place, artifacts):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError.of(
                str(folder), "the home folder must be creatable", error.strerror or str(error),
                "Set WORKBENCH_HOME to a folder you may write.",
            ) from None  # fmt: skip
    return Store(place, url, artifacts)
