"""The run that teaches another: whether it can, and a copy of it that the student keeps. No torch.

What taught a run is pinned when it is submitted: its id and checkpoint stand in the spec, its weights are a
checkpoint of the student (`TEACHER`), its model a sheet of it. So the teacher may train on or be deleted, and
the student resumes bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from workbench import catalog
from workbench.specs.base import AnyShape
from workbench.specs.data import DataSchema
from workbench.specs.errors import Problem, RunError, WorkbenchError
from workbench.specs.run import RunSpec
from workbench.specs.smaller import Distill
from workbench.store import RunRow, Store
from workbench.store.checkpoints import CheckpointInfo, is_own

TEACHER = "teacher"  # the checkpoint and the sheet that a student keeps of it
WHERE = "training.distill.teacher"
SPLITS = ("validation", "test", "split_seed", "groups", "folds", "fold", "limit")


class Cut(NamedTuple):
    """Which rows are learned from: they go by the set, its version and the choices of its splits."""

    name: str
    version: int
    shares: tuple[Any, ...]

    def __str__(self) -> str:
        told = ", ".join(str(part) for part in self.shares)
        return f"version {self.version} of {self.name} ({told})"


Seen = tuple[AnyShape, int, DataSchema]
See = Callable[[RunSpec, int | None], Seen]  # what a spec's model sees of its data; raises DataError


def teacher_problems(
    store: Store, spec: RunSpec, seen: Seen, see: See, version: int | None = None
) -> list[Problem]:
    """Why the run named in `training.distill` cannot teach; nothing where none is named, or all is well.

    seen: what the student sees of its data. see: the same of another spec and version of its data set.
    version: of the student's; None is the newest.
    """
    asked = spec.training.distill
    if asked is None:
        return []
    try:
        row = teacher_of(store, asked)
        _checkpoint(store, row, asked.checkpoint)
        theirs = see(row.spec, row.data_version)
        cuts = cuts_of(store, row, spec, version)
    except WorkbenchError as error:
        return [
            Problem(where=WHERE, rule=p.rule, fact=f"{p.where}: {p.fact}", repair=p.repair)
            for p in error.problems
        ]
    found = [(name, fact) for name, fact in _differences(row, spec, theirs, seen, cuts)]
    return [
        Problem(
            where=WHERE, rule=f"teacher and student must have the same {name}", fact=fact,
            repair="Choose another teacher, or the teacher's data and settings.",
        )
        for name, fact in found[:1]
    ] + (_leak(row, cuts) if not found else [])  # fmt: skip


def teacher_of(store: Store, asked: Distill) -> RunRow:
    """The run that is to teach. Raises RunError where there is none."""
    if not asked.teacher:
        raise RunError.of(
            "distillation", "a teacher must be named", "none is",
            "Choose a run that has learned the same data, or switch distillation off.",
        )  # fmt: skip
    row = store.runs.get(asked.teacher)
    if row.is_own_loop:
        raise RunError.of(
            f"run `{row.name}`", "a teacher must be built by the workbench",
            "a program of your own trained it", "Choose another run.",
        )  # fmt: skip
    return row


def named(store: Store, spec: RunSpec) -> RunSpec:
    """The spec with its teacher by full id, and the checkpoint by name. Raises RunError."""
    asked = spec.training.distill
    if asked is None:
        return spec
    row = teacher_of(store, asked)
    exact = asked.model_copy(
        update={"teacher": row.id, "checkpoint": _checkpoint(store, row, asked.checkpoint).name}
    )
    return spec.model_copy(update={"training": spec.training.model_copy(update={"distill": exact})})


def pin(store: Store, student: RunRow) -> None:
    """Keep the teacher of a run that was just made with it. Raises RunError, StoreError."""
    asked = student.spec.training.distill
    if asked is None:
        return
    row = store.runs.get(asked.teacher)
    store.checkpoints.copy(row.id, asked.checkpoint, student.id, TEACHER)
    step = next(info.step for info in store.checkpoints.list(student.id) if info.name == TEACHER)
    facts = {"id": row.id, "name": row.name, "checkpoint": asked.checkpoint, "step": step}
    store.put_sheet(student.id, TEACHER, {**facts, "spec": row.spec_json})


def pinned(store: Store, student: RunRow) -> dict[str, Any]:
    """What a student keeps of its teacher: {"id", "name", "checkpoint", "step", "spec"}; the sheet lost, as
    far as the teacher itself still tells. Raises RunError."""
    found = store.sheet(student.id, TEACHER)
    if found is not None and isinstance(found.get("spec"), str):
        return found
    asked = student.spec.training.distill
    assert asked is not None, "only a student has a teacher"
    row = store.runs.get(asked.teacher)
    return {"id": row.id, "name": row.name, "checkpoint": asked.checkpoint, "spec": row.spec_json}


def _checkpoint(store: Store, row: RunRow, wanted: str) -> CheckpointInfo:
    known = [info for info in store.checkpoints.list(row.id) if is_own(info.name)]
    number = wanted.removeprefix("step-")
    for info in known:
        if info.name == wanted or str(info.step) == number:
            return info
    have = ", ".join(f"{info.name} (step {info.step})" for info in known)
    raise RunError.of(
        f"run `{row.name}`", "the teacher's checkpoint must exist", f"`{wanted}` does not",
        f"It has: {have}." if have else "It has saved none yet: wait for its first validation.",
    )  # fmt: skip


def _differences(
    row: RunRow, spec: RunSpec, theirs: Seen, ours: Seen, cuts: tuple[Cut, Cut]
) -> list[tuple[str, str]]:
    """(what differs, the fact) of all that must be the same."""
    them, us = row.spec, spec
    pairs: list[tuple[str, Any, Any]] = [
        ("task", them.task.kind, us.task.kind),
        ("shape of the data", theirs[0], ours[0]),
        ("classes", theirs[2].classes or theirs[1], ours[2].classes or ours[1]),
    ]
    if ours[2].kind == "images":
        pairs.append(("data.normalize", them.data.normalize, us.data.normalize))
    if ours[2].kind == "series":
        pairs.append(("windows (data.series)", them.data.series, us.data.series))
        pairs.append(("cut of the steps, for its scale", *cuts))
    if ours[2].kind == "table":  # its encoders and scalers are fitted on the training rows
        pairs.append(("reading of columns (data.table)", them.data.table, us.data.table))
        pairs.append(("cut of the rows, for its scalers", *cuts))
    if ours[2].kind == "text":
        pairs.append(("tokenizer (data.text)", them.data.text, us.data.text))
        if us.data.text.tokenizer != "pretrained":  # it is trained on the training split
            pairs.append(("data set, for its tokens", *cuts))
    return [
        (name, f"run `{row.name}` has {short(one)}, and this one {short(other)}")
        for name, one, other in pairs
        if one != other
    ]


def _leak(row: RunRow, cuts: tuple[Cut, Cut]) -> list[Problem]:
    theirs, ours = cuts
    if theirs == ours:
        return []
    fact = f"run `{row.name}` learned from another cut of the data"
    repair = "Cut the data as the teacher's run does."
    if (theirs.name, theirs.shares) == (ours.name, ours.shares):
        seen = f"version {theirs.version} of {ours.name}, which is at {ours.version} now"
        fact = f"run `{row.name}` learned from {seen}"
        repair = "Train the teacher on this version as well, or restore the other one."
    return [
        Problem(
            where=WHERE, rule="a teacher should not have seen what the student is validated on", fact=fact,
            repair=repair, severity="warning",
        )
    ]  # fmt: skip


def cuts_of(store: Store, row: RunRow, spec: RunSpec, version: int | None) -> tuple[Cut, Cut]:
    """How the data of a run is cut, and that of another's spec and version; None is the newest. Versions with
    the same rows count as one. Raises DataError where a set or version is gone."""
    found = []
    for data, number in ((row.spec.data, row.data_version), (spec.data, version)):
        kept = catalog.with_shipped(store, data.name, number)
        shares = tuple(
            None if name == "folds" and data.fold is None else getattr(data, name) for name in SPLITS
        )
        found.append((Cut(data.name, kept.version, shares), kept.fingerprint))
    (theirs, one), (ours, other) = found
    same = theirs.name == ours.name and one == other  # a version that was restored is the old one again
    return (theirs._replace(version=ours.version) if same else theirs), ours


def short(value: Any) -> str:
    """A setting in a few words."""
    if value is None:
        return "empty"
    if isinstance(value, tuple) and value and all(isinstance(part, str) for part in value):
        return f"{len(value)} classes ({', '.join(value[:3])}{', …' if len(value) > 3 else ''})"
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "…"
