"""Variants of a trained run: pruned runs, distilled students and int8 checkpoints. No torch.

A pruned variant is a fork that starts from the run's weights and trains on; a student is a run that names it
as its teacher; an int8 variant is a checkpoint of the run itself, made by the answering process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from workbench import catalog
from workbench.jobs import teachers
from workbench.jobs.check import see
from workbench.jobs.runs import fork_as, submit
from workbench.jobs.starting import known_checkpoint
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError, Problem, RunError, SpecError
from workbench.specs.model import ModelSpec
from workbench.specs.run import RunSpec
from workbench.specs.schedules import Cosine
from workbench.specs.slim import slimmer
from workbench.specs.smaller import Distill, Prune
from workbench.store import RunRow, Store
from workbench.store.checkpoints import INT8

RATE = {"weights": 0.3, "channels": 1.0}  # of the parent's learning rate: single weights need little mending
SHEET = "variants"  # what was measured last, kept with the run
CLEARLY = 1.05  # times quicker: less may be the noise of the clock
ASIDE = ("name", "augment")  # of the data: the set is compared by its version, random changes are of learning
MOST_NARROWED = 0.9  # of its channels a student may have less


def pruned(store: Store, parent: RunRow, prune: Prune, epochs: float = 1.0) -> RunSpec:
    """The spec of a pruned variant: the parent's, shorter, at a smaller rate that falls along a cosine; with
    fewer channels where those are left out. Raises SpecError where none can be."""
    spec = parent.spec
    optimizer = spec.training.optimizer
    rate = 1.0 if spec.task.kind == "generation" else RATE[prune.what]  # its discriminator begins anew
    training = spec.training.model_copy(
        update={
            "optimizer": optimizer.model_copy(update={"lr": rate * optimizer.lr}),
            "schedule": Cosine(), "epochs": epochs, "steps": None, "early_stopping": None,
            "stop_at_loss": None, "distill": None, "prune": prune,
        }
    )  # fmt: skip
    model = spec.model
    if prune.what == "channels":
        shape = see(store, spec, parent.data_version)[0]
        model = slimmer(model, shape, prune.amount)
    words = f"{parent.name}, {100 * prune.amount:.0f} % of {prune.what} pruned"
    return spec.model_copy(update={"name": words[:200], "training": training, "model": model})


def prune(store: Store, ref: str, prune: Prune, epochs: float = 1.0, checkpoint: str | None = None) -> str:
    """Start a pruned variant of a run, fine-tuned for so many epochs; its id.

    It learns from the version of the data that its parent learned from: the split of another one may give it
    samples to learn that the parent is tested on. checkpoint: the best where there is one.
    Raises RunError, SpecError.
    """
    parent = store.runs.get(ref)
    version = _version(store, parent)
    known = {info.name for info in store.checkpoints.list(parent.id)}
    name = known_checkpoint(store, parent, checkpoint or ("best" if "best" in known else "last"))
    return fork_as(store, parent, pruned(store, parent, prune, epochs), name, version=version)


def _version(store: Store, parent: RunRow) -> int | None:
    """Which version of the data its variants learn from. Raises RunError where that is gone."""
    version = parent.data_version
    try:
        catalog.with_shipped(store, parent.spec.data.name, version)
    except DataError as error:
        told = "" if version is None else f"version {version} of "
        raise RunError.of(
            f"run `{parent.name}`", "its variants learn from the data that it has learned from",
            f"{told}{parent.spec.data.name} is gone ({error.problems[0].fact})",
            "Train a run on the data as it is now, and make variants of that one.",
        ) from error  # fmt: skip
    return version


def variants(store: Store, row: RunRow) -> Sequence[tuple[str, RunRow]]:
    """(kind, run) of the runs made of this one: "pruned" and "student", newest first."""
    found: list[tuple[str, RunRow]] = []
    for other in store.runs.concerning(row.id):
        training: Any = None if other.is_own_loop else other.spec.training
        if training is None:
            continue
        if training.prune is not None and other.parent == row.id:
            found.append(("pruned", other))
        elif training.distill is not None and training.distill.teacher == row.id:
            found.append(("student", other))
    return found


def must_be_comparable(store: Store, row: RunRow, variant: RunRow) -> None:
    """Raises RunError where a variant learned from another cut or version of the data than the run itself:
    it may have seen the samples that both would be judged on. Also where it reads them otherwise.

    Raises DataError where the data is gone.
    """
    ours, theirs = teachers.cuts_of(store, row, variant.spec, variant.data_version)
    them, us = variant.spec.data, row.spec.data
    if (ours.name, ours.version) != (theirs.name, theirs.version):
        fact = (
            f"it learned from version {theirs.version} of {theirs.name}, and the run itself from version "
            f"{ours.version}" + ("" if ours.name == theirs.name else f" of {ours.name}")
        )
    else:
        aside = ASIDE + (("folds",) if them.fold is us.fold is None else ())
        names = [name for name in DataSpec.model_fields if name not in aside]
        name = next((name for name in names if getattr(them, name) != getattr(us, name)), None)
        if name is None:
            return
        theirs_is, ours_is = (teachers.short(getattr(data, name)) for data in (them, us))
        fact = f"its data.{name} is {theirs_is}, and the run's own {ours_is}"
    raise RunError.of(
        f"run `{variant.name}`", "only what learned from the same cut of the same data is comparable", fact,
        "Make the variant anew of this run.",
    )  # fmt: skip


def quantise_question(run_id: str, how: str, checkpoint: str | None = None) -> dict[str, Any]:
    """What is asked of the answering process (jobs.trials) for an 8-bit variant: dynamic or static."""
    return {"kind": "quantise", "run": run_id, "how": how, "checkpoint": checkpoint}


def measure_question(run_id: str, checkpoint: str | None = None) -> dict[str, Any]:
    """What is asked of it for the figures of all variants."""
    return {"kind": "measure", "run": run_id, "checkpoint": checkpoint}


def measured(store: Store, row: RunRow) -> dict[str, Any] | None:
    """What was measured last (worker.variants.measure); None before the first time."""
    found = store.sheet(row.id, SHEET)
    return found if found is not None and isinstance(found.get("rows"), list) else None


def since(store: Store, row: RunRow, found: dict[str, Any] | None) -> int:
    """How many variants with a model there are by now that `found` does not tell, or tells as they were."""
    if found is None:
        return 0
    told = {(str(one["run"]), str(one.get("checkpoint", ""))): one for one in found["rows"]}
    known = {run for run, _ in told}
    new = [info for info in store.checkpoints.list(row.id) if info.name.startswith(INT8)]
    fresh = sum((row.id, info.name) not in told or info.time > found["time"] for info in new)
    for _, other in variants(store, row):
        has_model = any(info.can_answer for info in store.checkpoints.list(other.id))
        is_later = other.ended is not None and other.ended > found["time"]
        fresh += int(has_model and (other.id not in known or is_later))
    return int(fresh)


def ratios(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows with their ratios to the original: size, speed_1 and speed_32 (above 1: smaller, quicker) and
    how much the mark has changed, in its own unit; None where there is no figure."""
    first = found["rows"][0]
    rows = []
    for row in found["rows"]:
        more: dict[str, Any] = {}
        for name, key in (("size", "bytes"), ("speed_1", "latency_1_ms"), ("speed_32", "latency_32_ms")):
            more[name] = first[key] / row[key] if row.get(key) and first.get(key) else None
        told = row.get("value") is not None and first.get("value") is not None
        rows.append({**row, **more, "change": row["value"] - first["value"] if told else None})
    return rows


def quicker_at(row: dict[str, Any]) -> str:
    """For which batches a variant is clearly quicker than the run itself, from a row with its ratios: "1 and
    32", "32", "1", "none"; "" where there is no figure."""
    if row.get("speed_1") is None or row.get("speed_32") is None:
        return ""
    sizes = [name for name, key in (("1", "speed_1"), ("32", "speed_32")) if row[key] >= CLEARLY]
    return " and ".join(sizes) or "none"


def narrowed(store: Store, parent: RunRow, amount: float) -> ModelSpec:
    """The run's model with `amount` of its channels left out. Raises DataError, and SpecError where none of
    them can be, or so few that none would go."""
    shape = see(store, parent.spec, parent.data_version)[0]
    try:
        return slimmer(parent.spec.model, shape, amount)
    except SpecError as error:
        fact = error.problems[0].fact
    repair = "Press Design it to make a smaller one."
    with contextlib.suppress(SpecError):
        slimmer(parent.spec.model, shape, MOST_NARROWED)
        fact, repair = f"{100 * amount:.0f} % of its channels is less than one", "Choose a larger share."
    raise SpecError.of("student", "a student is narrower than its teacher", fact, repair)


def why_not_narrower(store: Store, parent: RunRow, amount: float) -> Problem | None:
    """What `narrowed` would refuse; None where it would not, or the data is gone, which is told elsewhere."""
    try:
        narrowed(store, parent, amount)
    except SpecError as error:
        return error.problems[0]
    except DataError:
        pass
    return None


def student(store: Store, parent: RunRow, amount: float = 0.5, checkpoint: str = "best") -> RunSpec:
    """The spec of a student of a run: the same training from fresh weights, taught by it, and a model with
    `amount` of its channels left out where they can be; where they cannot the very same model, to be made
    smaller by hand."""
    spec = parent.spec
    model = spec.model
    with contextlib.suppress(SpecError):
        model = narrowed(store, parent, amount)
    asked = Distill(teacher=parent.id, checkpoint=checkpoint)
    training = spec.training.model_copy(update={"distill": asked, "prune": None})
    name = f"{parent.name}, student"[:200]
    return spec.model_copy(update={"name": name, "model": model, "training": training})


def teach(store: Store, parent: RunRow, amount: float = 0.5) -> str:
    """Start the student of a run on the version of the data that the run learned from; its id.

    Raises RunError, SpecError: also where it would not be smaller than the run.
    """
    version = _version(store, parent)
    narrowed(store, parent, amount)
    return submit(store, student(store, parent, amount), version=version)
