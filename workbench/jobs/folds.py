"""Cross-validation: one run per fold, found again by a tag they share, and their mean ± sd. No torch."""

from __future__ import annotations

import math
import secrets
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.jobs.check import see
from workbench.jobs.runs import release, submit
from workbench.records import RunState
from workbench.specs.data import DataSpec
from workbench.specs.errors import SpecError, WorkbenchError
from workbench.specs.run import RunSpec
from workbench.specs.tasks import TOKEN_TASKS
from workbench.store import Query, RunRow, Store
from workbench.store.runs import ALPHABET

PREFIX = "folds-"  # of the tag that the runs of a cross-validation share
FEWEST, MOST = 2, 20  # as data.folds has it
FIRST = ("val/bleu", "val/accuracy", "val/iou", "val/r2", "val/rmse", "val/mae", "val/perplexity", "val/loss")
GONE_WRONG = (RunState.FAILED, RunState.LOST, RunState.STOPPED)


@dataclass(frozen=True)
class Summary:
    """A cross-validation as it stands. metrics: key → {"best" and "last" → mean, sd, n}, over the folds that
    finished; wrong: (fold, run, state) of those that did not; left: how many are still to come."""

    group: str
    name: str
    folds: int
    runs: tuple[str, ...]
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    wrong: tuple[tuple[int, str, str], ...] = ()
    left: int = 0

    @property
    def headline(self) -> str:
        """The metric that people ask for first; empty before any fold has finished."""
        known = [key for key in FIRST if key in self.metrics]
        return (known or [*self.metrics, ""])[0]

    def to_json(self) -> dict[str, Any]:
        wrong = [{"fold": fold, "run": run, "state": state} for fold, run, state in self.wrong]
        facts = {"group": self.group, "name": self.name, "folds": self.folds, "runs": list(self.runs)}
        return {**facts, "metrics": self.metrics, "wrong": wrong, "left": self.left}

    def sentence(self, key: str) -> str:
        """`val/accuracy 0.9312 ± 0.0104 (n = 5)`, of the last values, since the best were chosen on what they
        judge; what went wrong behind it."""
        told = self.metrics.get(key, {}).get("last")
        text = (
            f"{key} {told['mean']:.4f} ± {told['sd']:.4f} (n = {int(told['n'])})" if told else f"{key} none"
        )
        for fold, _, state in self.wrong:
            text += f"; fold {fold} {state}"
        return text + (f"; {self.left} to come" if self.left else "")


def cross_validate(store: Store, spec: RunSpec, folds: int, held: bool = False) -> tuple[str, list[str]]:
    """One run per fold in the queue, and the tag they share. Fold i is validated on, the others learned from;
    the test split stays out of all.

    Raises: SpecError where a fold cannot run; then none is queued.
    """
    if not FEWEST <= folds <= MOST:
        raise SpecError.of(
            "data.folds", f"a cross-validation has {FEWEST} to {MOST} folds", f"{folds} were asked for",
            "Choose 5 or 10.",
        )  # fmt: skip
    group = f"{PREFIX}{time.strftime('%y%m%d-%H%M')}-" + "".join(secrets.choice(ALPHABET) for _ in range(3))
    made: list[str] = []
    try:
        for fold in range(1, folds + 1):
            _must_fit(store, spec, folds, fold)
            data = _fold_of(spec, folds, fold)
            name = f"{spec.name[:180]}, fold {fold} of {folds}"
            made.append(submit(store, spec.model_copy(update={"name": name, "data": data}), held=True))
    except WorkbenchError:
        for run_id in made:
            store.runs.delete(run_id)
        raise
    store.labels.tag(made, add=[group])
    if not held:
        release(store, made)
    return group, made


def _must_fit(store: Store, spec: RunSpec, folds: int, fold: int) -> None:
    """Raises SpecError where the model has as many outputs as the whole needs, and the fold needs others: the
    tokens of characters are those of the texts that are learned from."""
    text = spec.data.text
    if spec.task.kind not in TOKEN_TASKS or text.tokenizer == "pretrained":
        return
    whole = see(store, spec)[1]
    part = see(store, spec.model_copy(update={"data": _fold_of(spec, folds, fold)}))[1]
    if whole != part:
        raise SpecError.of(
            "data.folds", "one model must fit all folds",
            f"the texts of fold {fold} have {part:,} different tokens, and all together {whole:,}",
            "Set data.text.tokenizer to bpe with a vocabulary that every fold fills, or train on one split.",
        )  # fmt: skip


def _fold_of(spec: RunSpec, folds: int, fold: int) -> DataSpec:
    return spec.data.model_copy(update={"folds": folds, "fold": fold})


def groups(store: Store) -> list[str]:
    """Tags of all cross-validations, newest first."""
    return sorted((tag for tag, _ in store.labels.tags() if tag.startswith(PREFIX)), reverse=True)


def summary(store: Store, group: str) -> Summary:
    """How a cross-validation stands; of a tag that no run has, one without runs."""
    found, _ = store.runs.search(Query(tags=[group]), sort_key="created", descending=False, limit=MOST)
    rows = sorted(found, key=lambda row: row.spec.data.fold or 0)
    name = rows[0].name.rpartition(", fold ")[0] or rows[0].name if rows else ""
    done = [row for row in rows if row.state is RunState.FINISHED]
    wrong = tuple(
        (row.spec.data.fold or 0, row.id, row.state.value) for row in rows if row.state in GONE_WRONG
    )
    return Summary(
        group, name, max((row.spec.data.folds for row in rows), default=0), tuple(row.id for row in rows),
        spread(done), wrong, len(rows) - len(done) - len(wrong),
    )  # fmt: skip


def spread(rows: Sequence[RunRow]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and standard deviation (n - 1; 0 for one) of best and last validation values over runs."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for key in sorted({key for row in rows for key in row.metrics if key.startswith("val/")}):
        for which in ("best", "last"):
            told = [row.metrics.get(key, {}).get(which) for row in rows]
            values = [float(v) for v in told if v is not None and math.isfinite(v)]
            if values:
                sd = statistics.stdev(values) if len(values) > 1 else 0.0
                facts = {"mean": statistics.mean(values), "sd": sd, "n": float(len(values))}
                found.setdefault(key, {})[which] = facts
    return found
