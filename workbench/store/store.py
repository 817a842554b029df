"""One handle on everything kept: the database, and the folder of artifacts.

The only room that knows paths and SQL. A store is safe to share between threads and must not be
shared over a fork: close it before, open it again after.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from workbench.records import Event, Panel, Record, Scalars, Tiles
from workbench.specs.errors import RunError, StoreError
from workbench.store import schema
from workbench.store.checkpoints import Checkpoints
from workbench.store.datasets import Datasets
from workbench.store.runs import Runs, merge_metrics
from workbench.store.scalars import ScalarStore
from workbench.store.signals import Commands, Drafts, Events, Leases
from workbench.store.snapshots import Snapshots

RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Store:
    """The parts, by noun: `store.runs`, `store.scalars`, `store.snapshots` and so on."""

    def __init__(self, home: Path, url: str, artifacts: Path) -> None:
        self.home = home
        self.url = url
        self.artifacts = artifacts
        self._engine = schema.connect(url)
        self.runs = Runs(self._engine, self.run_folder)
        self.scalars = ScalarStore(self._engine)
        self.events = Events(self._engine)
        self.snapshots = Snapshots(self._engine, self.run_folder)
        self.commands = Commands(self._engine)
        self.checkpoints = Checkpoints(self._engine, self.run_folder)
        self.datasets = Datasets(self._engine, artifacts)
        self.drafts = Drafts(self._engine)
        self.leases = Leases(self._engine)

    def run_folder(self, run_id: str) -> Path:
        """Where a run's artifacts lie. Raises RunError for what cannot be a run id."""
        if not RUN_ID.fullmatch(run_id):
            raise RunError.of("run id", "an id has letters, digits, - and _ only", f"it is {run_id[:80]!r}")
        return self.artifacts / "runs" / run_id

    def log_path(self, run_id: str) -> Path:
        """The file that takes everything the run's process prints."""
        return self.run_folder(run_id) / "log.txt"

    def flush(self, run_id: str, records: Iterable[Record], **progress: Any) -> None:
        """Write what was seen and how far the run is, in one transaction.

        progress: any of step, epoch, total_steps, phase, device, telemetry_share, eta_s.
        """
        kept = list(records)
        scalars = [r for r in kept if isinstance(r, Scalars) and len(r)]
        pictures = [self.snapshots.write_arrays(run_id, r) for r in kept if isinstance(r, Tiles | Panel)]
        with self._engine.begin() as connection:
            if scalars:
                known = connection.execute(
                    select(schema.runs.c.metrics).where(schema.runs.c.id == run_id)
                ).scalar()
                merged = merge_metrics(
                    json.loads(known or "{}"), [(r.key, r.steps, r.values) for r in scalars]
                )
                progress["metrics"] = json.dumps(merged)
            self.scalars.append(connection, run_id, scalars)
            self.snapshots.append(connection, pictures)
            self.events.append(connection, run_id, [r for r in kept if isinstance(r, Event)])
            self.runs.write_facts(connection, run_id, **progress)

    def truncate_after(self, run_id: str, step: int) -> None:
        """Forget scalars and snapshots beyond `step`, and what they made of best and last values."""
        self.scalars.truncate_after(run_id, step)
        self.snapshots.truncate_after(run_id, step)
        history = self.scalars.read(run_id)
        merged = merge_metrics({}, [(key, part.steps, part.values) for key, part in history.items()])
        self.runs.update(run_id, metrics=json.dumps(merged), step=step)

    def close(self) -> None:
        self._engine.dispose()


def open_store(home: Path | None = None) -> Store:
    """The store that the environment names: WORKBENCH_HOME, WORKBENCH_STORE, WORKBENCH_ARTIFACTS.

    Raises StoreError when it cannot be opened as it is.
    """
    place = (
        Path(home or os.environ.get("WORKBENCH_HOME") or Path.home() / ".workbench").expanduser().resolve()
    )
    artifacts = Path(os.environ.get("WORKBENCH_ARTIFACTS") or place / "artifacts").expanduser().resolve()
    for folder in (place, artifacts):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError.of(
                str(folder), "the home folder must be creatable", error.strerror or str(error),
                "Set WORKBENCH_HOME to a folder you may write.",
            ) from None  # fmt: skip
    url = os.environ.get("WORKBENCH_STORE") or f"sqlite:///{place / 'workbench.db'}"
    return Store(place, url, artifacts)
