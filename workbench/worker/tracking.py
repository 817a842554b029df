"""A run on an MLflow server, or in an MLflow database: metrics, hyperparameters, events, its end.

MLflow cannot forget a point, and takes 50 µs a point on a good day. So a thread of its own follows the
store, within a small share of one core, and sends only what a checkpoint covers: a run that is killed
and resumed walks the steps after its checkpoint again, and those must not be there twice.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workbench.engine.flush import Flush
from workbench.records import Scalars
from workbench.specs.errors import RunError
from workbench.store import RunRow, Store

MARK = "mlflow.json"  # in the run's folder: which MLflow run, and how far it got
EXPERIMENT = "workbench"
TAG = "workbench.run"  # on the MLflow run: our run's id
BATCH = 1000  # metrics in one call: MLflow takes no more
PARAMETERS = 100  # the same for parameters
SHARE = 0.03  # of one core, while the run trains
CATCH_UP_S = 60.0  # at the end of a session
NOTE_EVERY_S = 10.0
NOTE_LENGTH = 5000  # characters that MLflow keeps
STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED", "parked": "SCHEDULED"}
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would tell its makers
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # 7 by default: minutes until a dead address is known
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Tracking:
    """One session's sender. Its thread's first error comes out of the next `write` or `close`."""

    def __init__(self, store: Store, row: RunRow, address: str) -> None:
        if importlib.util.find_spec("mlflow") is None:
            raise _missing("mlflow-skinny")
        self._store, self._row, self._address = store, row, address
        self._mark = store.run_folder(row.id) / MARK
        # Steps up to here will not be walked again. A new run has no such step yet.
        saved = {info.name for info in store.checkpoints.list(row.id)}
        self._safe: float = row.step if saved & {"last", "best"} else -1
        self._outcome: str | None = None
        self._error: Exception | None = None
        self._over = threading.Event()
        self._client: Any = None
        self._sent: dict[str, Any] = {}  # what the mark says: address, run, chunk, step
        self._event = 0
        self._noted = -1e9
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._body, name="mlflow", daemon=True)
        self._thread.start()

    def write(self, flush: Flush) -> None:
        for saved in flush.checkpoints:
            if saved.name == "last":
                self._safe = saved.step
        if self._error is not None:
            raise self._error

    def close(self, outcome: str) -> None:
        """Send the rest. Raises RunError when the address is too slow for it."""
        self._safe = float("inf")  # should it be resumed from before, a new MLflow run takes its place
        self._outcome = outcome
        self._over.set()
        self._thread.join(CATCH_UP_S)
        if self._error is not None:
            raise self._error
        if self._thread.is_alive():
            raise RunError.of(
                "watch.mlflow", f"MLflow must take the rest within {CATCH_UP_S:g} s",
                f"after these it is only at step {self._sent.get('step', 0):,}", "The store has all of it.",
            )  # fmt: skip

    # ------------------------------------------------------------ the thread

    def _body(self) -> None:
        try:
            self._connect()
            while not self._over.is_set():
                began = time.thread_time()
                self._note()
                more = self._send()
                self._over.wait(max(0.0 if more else 0.5, (time.thread_time() - began) / SHARE))
            while self._send():
                pass
            self._note(at_once=True)
            outcome = self._outcome or "failed"
            self._client.set_terminated(self._sent["run"], STATUS.get(outcome, "FAILED"))
        except ModuleNotFoundError as error:
            self._error = _missing(error.name or "mlflow-skinny")
        except Exception as error:
            self._error = error

    def _connect(self) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        client = importlib.import_module("mlflow.tracking").MlflowClient
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = client(tracking_uri=self._address)
        found = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)
        known = self._known(experiment)
        if known is None:
            self._sent = {"address": self._address, "run": self._begin(experiment), "chunk": 0, "step": -1}
            self._keep()
        else:
            self._sent = known
            self._client.update_run(known["run"], status="RUNNING")

    def _known(self, experiment: str) -> dict[str, Any] | None:
        """The MLflow run of an earlier session that can be gone on with, and how far it is."""
        mark = _read(self._mark)
        mine = f"tags.`{TAG}` = '{self._row.id}'"
        ids = [run.info.run_id for run in self._client.search_runs([experiment], mine)]
        if (
            mark
            and mark["address"] == self._address
            and mark["run"] in ids
            and mark["step"] <= self._row.step
        ):
            return mark
        if mark is None and ids:  # killed between its making and the mark: nothing was sent yet
            return {"address": self._address, "run": ids[0], "chunk": 0, "step": -1}
        for run_id in ids:  # it holds steps that are walked again now, and MLflow cannot forget them
            self._client.set_tag(run_id, "workbench.replaced", "resumed from an earlier step")
            self._client.delete_tag(run_id, TAG)
            self._client.set_terminated(run_id, "KILLED")
        return None

    def _begin(self, experiment: str) -> str:
        entities = importlib.import_module("mlflow.entities")
        tags = {TAG: self._row.id, "workbench.data": self._row.data, "workbench.model": self._row.model}
        made = self._client.create_run(experiment, tags=tags, run_name=self._row.name)
        values = flat(self._row.spec.model_dump(mode="json"))
        pairs = [entities.Param(key, str(value)) for key, value in values.items()]
        for first in range(0, len(pairs), PARAMETERS):
            self._client.log_batch(made.info.run_id, params=pairs[first : first + PARAMETERS])
        return str(made.info.run_id)

    # ------------------------------------------------------------ what is sent

    def _send(self) -> bool:
        """One batch of what is safe to send; whether there may be more."""
        parts: list[Scalars] = []
        chunk, step, n = self._sent["chunk"], self._sent["step"], 0
        while n < BATCH:
            found, after = self._store.scalars.since(self._row.id, chunk, 1)
            if not found or found[0].steps[-1] > self._safe:
                break
            parts += found
            chunk, step, n = after, max(step, int(found[0].steps[-1])), n + len(found[0])
        if not parts:
            return False
        metric = importlib.import_module("mlflow.entities").Metric
        metrics = [
            metric(part.key, float(value), int(moment * 1000), int(at))
            for part in parts
            for at, moment, value in zip(part.steps, part.times, part.values, strict=True)
        ]
        for first in range(0, len(metrics), BATCH):
            self._client.log_batch(self._sent["run"], metrics=metrics[first : first + BATCH])
        self._sent |= {"chunk": chunk, "step": step}
        self._keep()
        return True

    def _note(self, at_once: bool = False) -> None:
        """The run's events as its description."""
        if not at_once and time.monotonic() - self._noted < NOTE_EVERY_S:
            return
        self._noted = time.monotonic()
        events, self._event = self._store.events.since(self._row.id, self._event)
        if events:
            self._lines += [f"- step {event.step:,}: {event.text}" for event in events]
            text = "\n".join(self._lines)
            self._client.set_tag(self._sent["run"], "mlflow.note.content", text[-NOTE_LENGTH:])

    def _keep(self) -> None:
        beside = self._mark.with_suffix(".new")
        beside.write_text(json.dumps(self._sent), encoding="utf-8")
        os.replace(beside, self._mark)


def flat(tree: Any, path: str = "") -> dict[str, str | float | bool]:
    """A spec's leaves by dotted path, numbers and switches as they are; what is empty is left out."""
    if isinstance(tree, Mapping | list) and len(tree):
        pairs: Iterable[tuple[Any, Any]] = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        found: dict[str, str | float | bool] = {}
        for key, value in pairs:
            found |= flat(value, f"{path}.{key}" if path else str(key))
        return found
    if tree is None or isinstance(tree, Mapping | list):
        return {}
    return {path: tree if isinstance(tree, str | float | int | bool) else json.dumps(tree)}


def _read(mark: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(mark.read_text(encoding="utf-8"))
        if isinstance(found, dict) and {"address", "run", "chunk", "step"} <= set(found):
            return found
    return None


def _missing(package: str) -> RunError:
    return RunError.of(
        "watch.mlflow", "MLflow's client must be installed", f"the package `{package}` is not installed",
        "Install it beside the workbench: pip install mlflow-skinny alembic.",
    )  # fmt: skip
