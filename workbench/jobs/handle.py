"""A run as Python code holds it: `workbench.train(spec)` and `workbench.open_run(id)`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from workbench.jobs import runs as jobs
from workbench.records import Change, RunState, Scalars
from workbench.specs.errors import RunError
from workbench.specs.run import RunSpec
from workbench.store import RunRow, Store, open_store


class Run:
    """A run in the store. Reading a property reads the store: nothing here can be out of date."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self.id = run_id

    @property
    def row(self) -> RunRow:
        """Everything known of it now."""
        return self._store.runs.get(self.id)

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def state(self) -> RunState:
        return self.row.state

    @property
    def spec(self) -> RunSpec:
        """The spec it was started with."""
        return self.row.spec

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """key → {"last", "best", "best_step"}."""
        return self.row.metrics

    def history(self, *keys: str) -> dict[str, Scalars]:
        """Every measured point of these keys, or of all."""
        return self._store.scalars.read(self.id, list(keys) or None)

    def wait(self, timeout_s: float | None = None) -> Run:
        """Return when the run is over, however it ended. Raises RunError after `timeout_s`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.state.is_over:
            if deadline is not None and time.monotonic() > deadline:
                row = self.row
                raise RunError.of(
                    f"run `{row.name}`", f"it should be over within {timeout_s:g} s", f"it is {row.state}",
                    "Wait longer; the run goes on.",
                )  # fmt: skip
            time.sleep(0.1)
        return self

    def pause(self) -> None:
        jobs.pause(self._store, self.id)

    def park(self) -> None:
        """Pause and give the memory back; `resume` puts it into the queue, to go on where it was."""
        jobs.park(self._store, self.id)

    def resume(self, *changes: str) -> None:
        """Go on, changed by `"a.b=value"` texts where some are given."""
        jobs.resume(self._store, self.id, changes)

    def step(self, steps: int = 1) -> None:
        """Do so many updates, then pause."""
        jobs.step(self._store, self.id, steps)

    def change(self, *changes: str) -> None:
        """Change the run while it lives: `run.change("training.optimizer.lr=0.001")`."""
        jobs.change(self._store, self.id, changes)

    @property
    def ledger(self) -> Sequence[Change]:
        """What was changed while it trained."""
        return self._store.ledger.list(self.id)

    def stop(self) -> None:
        jobs.stop(self._store, self.id)

    def fork(self, *changes: str, checkpoint: str | None = None, replay: bool = False) -> Run:
        """A new run with this one's spec, changed by `"a.b=value"` texts. replay: and its ledger."""
        return Run(self._store, jobs.fork(self._store, self.id, changes, checkpoint, replay))

    def __repr__(self) -> str:
        row = self.row
        return f"Run({row.id!r}, {row.name!r}, {row.state}, step {row.step})"


def train(spec: RunSpec) -> Run:
    """Start a run in the background and return at once; `.wait()` waits for its end.

    Raises SpecError with everything that is wrong with the spec.
    """
    store = open_store()
    return Run(store, jobs.submit(store, spec))


def open_run(ref: str) -> Run:
    """The run with this id, start of an id, or name. Raises RunError."""
    store = open_store()
    return Run(store, store.runs.get(ref).id)
