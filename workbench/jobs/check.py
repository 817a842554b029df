"""What can be said of a spec before it runs: shapes, parameters, memory, problems. Plain Python.

The same function answers the model page at each keystroke, `workbench check`, and every submit.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import psutil

from workbench import catalog
from workbench.data.dataset import rows_of
from workbench.jobs.pictures import answer_problems
from workbench.jobs.series import series_problems
from workbench.jobs.series import sizes as series_sizes
from workbench.jobs.tables import loss_kind, table_problems
from workbench.jobs.teachers import teacher_problems
from workbench.jobs.techniques import technique_problems
from workbench.jobs.texts import facts, metric_problems, task_problems, text_problems
from workbench.jobs.weights import weights_problems
from workbench.specs.base import AnyShape, Pair, Tokens, Window
from workbench.specs.data import DataSchema, DataSpec
from workbench.specs.doubts import held_up
from workbench.specs.errors import Problem, WorkbenchError
from workbench.specs.memory import fewest_parts, largest_batch, predict
from workbench.specs.model import Row
from workbench.specs.pretrained import tokenizer_problems
from workbench.specs.pretrained_image import picture_problems
from workbench.specs.rows import walk
from workbench.specs.run import RunSpec
from workbench.specs.steer import freeze_problems
from workbench.specs.tasks import TOKEN_TASKS, score_columns
from workbench.store import Store

NO_IMAGES: Mapping[str, int] = {"train": 0, "validation": 0, "test": 0}
PROCESS_BYTES = 350_000_000  # a run's process with torch before it holds any data (measured, CPU build)


@dataclass(frozen=True)
class CheckReport:
    """The layer table of a spec, its size, and all that is wrong or doubtful."""

    ok: bool  # no problem of severity "error"
    parameters: int
    layers: tuple[Row, ...]
    problems: tuple[Problem, ...]
    memory_bytes: int  # an estimate of what the run's process will need; 0 when shapes are unknown

    def to_json(self) -> dict[str, Any]:
        """The contract of `workbench check --json`."""
        return {
            "ok": self.ok,
            "parameters": self.parameters,
            "layers": [
                {
                    "index": row.index,
                    "kind": row.kind,
                    "out_shape": list(row.out_shape) if row.out_shape is not None else None,
                    "parameters": row.parameters,
                    "mult_adds": row.mult_adds,
                    **({"stack": "decoder"} if row.path[:1] == ("decoder",) else {}),
                }
                for row in self.layers
            ],
            "problems": [problem.model_dump() for problem in self.problems],
            "memory_bytes": self.memory_bytes,
        }


def check(store: Store, spec: RunSpec, version: int | None = None) -> CheckReport:
    """Everything known about `spec` on this machine's data and devices; raises nothing for a bad one.

    version: of the data set; None is the newest.
    """
    try:
        shape, n_classes, schema = see(store, spec, version)
    except WorkbenchError as error:
        problems = tuple(p.model_copy(update={"where": f"data ({p.where})"}) for p in error.problems)
        return CheckReport(False, 0, (), problems + tuple(_device_problems(spec)), 0)
    rows = spec.model.rows(shape)
    found = task_problems(spec, schema)
    is_served = not found
    # The layers are held against the data: a task that does not fit it will have to change.
    loss = loss_kind(schema, spec, shape)
    if is_served or n_classes:  # without classes nothing tells what a classifier should give
        told = spec.model.problems(shape, n_classes, loss, per_token=schema.task in TOKEN_TASKS)
        found += held_up(told, spec.training.squashed_twice)
    sizes = split_sizes(store, spec, version)
    memory = memory_bytes(spec, shape, n_classes, sizes) if is_served else 0
    found += _device_problems(spec)
    found += _thread_problems(spec)
    found += _process_problems(spec)
    found += technique_problems(spec, _kind(spec))
    if is_served:
        found += _memory_problems(spec, shape, n_classes, sizes)
        found += metric_problems(spec, n_classes, sizes)
        seen = (shape, n_classes, schema)
        found += teacher_problems(store, spec, seen, lambda other, v: see(store, other, v), version)
    if schema.kind == "series":
        found += series_problems(spec, catalog.with_shipped(store, spec.data.name, version))
    if schema.kind == "text":
        found += text_problems(spec, sizes, shape)
        found += tokenizer_problems(spec.model.layers, spec.data.text)
    elif schema.kind == "table":
        found += table_problems(spec)
    else:
        found += picture_problems(spec.model.layers, spec.data, shape)
    found += answer_problems(spec)
    found += _batch_problems(spec, rows)
    found += freeze_problems(spec)
    found += weights_problems(store, spec)
    found += _split_problems(store, spec, version)
    return CheckReport(
        ok=all(problem.severity != "error" for problem in found),
        parameters=sum(row.parameters for row in rows),
        layers=tuple(rows),
        problems=tuple(found),
        memory_bytes=memory,
    )


def see(store: Store, spec: RunSpec, version: int | None = None) -> tuple[AnyShape, int, DataSchema]:
    """What a model sees of the data, the columns of its scores, and what the set is. Raises DataError."""
    row = catalog.with_shipped(store, spec.data.name, version)
    if row.schema.kind == "text":
        known = facts(row, spec.data)  # remembered, while the catalog reads its tokenizer anew
        return known.shape, known.columns, row.schema
    shape, n = catalog.shape_and_classes(store, spec.data, version)
    n = score_columns(spec.task, n)
    return spec.task.input(shape, n), n, row.schema


def memory_bytes(
    spec: RunSpec, shape: AnyShape, n_classes: int = 10, sizes: Mapping[str, int] = NO_IMAGES
) -> int:
    """What the run's process takes at its peak: the process, and on it what `specs.memory` counts.

    sizes: samples per split, where they are known. 0 for a stack that cannot work.
    """
    try:
        found = predict(
            spec, shape, n_classes, sizes, device=_kind(spec), free=psutil.virtual_memory().available
        )
    except WorkbenchError:
        return 0
    each = PROCESS_BYTES + found.total  # every process has the data, the model and its part of a batch
    return each if _kind(spec) == "cuda" else each * spec.training.processes


def fit_problem(
    spec: RunSpec,
    shape: AnyShape,
    n_classes: int,
    sizes: Mapping[str, int],
    *,
    device: str,
    free: int,
    limit: int,
) -> Problem | None:
    """Why the run does not fit into `limit` bytes of its device, and what would; None where it does.

    free: bytes that are free there now, which decide how the data is kept.
    """
    try:
        needed = predict(spec, shape, n_classes, sizes, device=device, free=free).total
    except WorkbenchError:  # the layers are told of elsewhere
        return None
    if needed <= limit:
        return None
    facts = (shape, n_classes, sizes)
    batch, training = largest_batch(spec, *facts, device=device, free=free, room=limit), spec.training
    parts = fewest_parts(spec, *facts, device=device, free=limit)
    fits = []
    if 0 < batch < training.batch_size:
        fits.append(f"batch {batch:,} fits")
    if parts is not None:
        fits.append(f"accumulation_steps {parts} " + ("does too" if fits else "makes it fit"))
    smaller = "shorter texts" if isinstance(shape, Pair | Tokens) else (
        "a shorter look-back" if isinstance(shape, Window) else "smaller images"
    )  # fmt: skip
    smaller = "fewer columns" if len(shape) == 1 else smaller
    return _problem(
        "training.batch_size",
        "the run must fit into memory",
        f"batch {training.batch_size:,} needs {_gb(needed)}, and {_gb(limit)} are free",
        (", or ".join(fits) + "." if fits else f"Use a smaller model or {smaller}.").capitalize(),
    )


def _kind(spec: RunSpec) -> str:
    """The kind of device the run will take on this machine."""
    device = spec.training.device.partition(":")[0]
    if device != "auto":
        return device
    return "cuda" if gpu_count() else "mps" if sys.platform == "darwin" else "cpu"


def _device_problems(spec: RunSpec) -> list[Problem]:
    device = spec.training.device
    if device == "mps" and sys.platform != "darwin":
        fact = "this machine is no Mac"
        return [_problem("training.device", "mps must be there", fact, "Set training.device to auto.")]
    if device.startswith("cuda"):
        present = gpu_count()
        wanted = int(device.partition(":")[2] or 0)
        if wanted >= present:
            fact = f"this machine has {present} NVIDIA GPU{'s' if present != 1 else ''}"
            return [
                _problem("training.device", f"{device} must be there", fact, "Set training.device to auto.")
            ]
    return []


def _thread_problems(spec: RunSpec) -> list[Problem]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if spec.training.threads is None or spec.training.threads <= cores:
        return []
    return [
        Problem(
            where="training.threads",
            rule="more threads than cores take each other's time",
            fact=f"{spec.training.threads} are asked for on {cores} core{'s' if cores != 1 else ''}",
            repair="Leave it empty: the run takes every core.",
            severity="warning",
        )
    ]


def _process_problems(spec: RunSpec) -> list[Problem]:
    """Whether there is a part of the machine for every process, and a sample of every batch."""
    n, where = spec.training.processes, "training.processes"
    if n == 1:
        return []
    kind = _kind(spec)
    if kind == "mps":
        return [_problem(where, "an Apple GPU has one process", f"{n} are asked for", "Set processes to 1.")]
    if n > spec.training.batch_size:
        rule, fact = "every process needs a sample of each batch", f"batches have {spec.training.batch_size}"
        return [_problem(where, rule, fact, "Use larger batches or fewer processes.")]
    if kind == "cuda":
        first = int(spec.training.device.partition(":")[2] or 0)
        if first + n > gpu_count():
            fact = f"{n} are asked for from cuda:{first} on, and this machine has {gpu_count()}"
            repair = "Use fewer processes, or set training.device to cpu."
            return [_problem(where, "each process needs a GPU of its own", fact, repair)]
        return []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n <= cores:
        return []
    return [
        Problem(
            where=where, rule="more processes than cores take each other's time",
            fact=f"{n} are asked for on {cores} core{'s' if cores != 1 else ''}",
            repair=f"Use {cores} at most.", severity="warning",
        )
    ]  # fmt: skip


def _split_problems(store: Store, spec: RunSpec, version: int | None) -> list[Problem]:
    """Whether the data can be cut as the spec says: by the very function that will cut it."""
    try:
        row = catalog.with_shipped(store, spec.data.name, version)
        if row.schema.kind == "text":
            facts(row, spec.data)
            return []
        if row.schema.kind == "series":
            series_sizes(row, spec.data)
            return []
        return list(_cut(row.path, row.fingerprint, spec.data.model_dump_json())[0])
    except WorkbenchError as error:
        return list(error.problems)


def split_sizes(store: Store, spec: RunSpec, version: int | None = None) -> Mapping[str, int]:
    """Samples per split as the run will cut them, of texts `TextSizes`; zeros where they cannot be cut."""
    with contextlib.suppress(WorkbenchError):
        row = catalog.with_shipped(store, spec.data.name, version)
        if row.schema.kind == "text":
            return facts(row, spec.data).sizes
        if row.schema.kind == "series":
            return series_sizes(row, spec.data)
        return _cut(row.path, row.fingerprint, spec.data.model_dump_json())[1]
    return NO_IMAGES


@lru_cache(maxsize=64)  # asked at every keystroke
def _cut(folder: Path, fingerprint: str, data: str) -> tuple[tuple[Problem, ...], Mapping[str, int]]:
    try:
        rows = rows_of(folder, DataSpec.model_validate_json(data))
    except WorkbenchError as error:
        told = (p.model_copy(update={"where": f"data ({p.where})"}) for p in error.problems)
        return tuple(told), NO_IMAGES
    return (), {name: len(getattr(rows, name)) for name in NO_IMAGES}


def _batch_problems(spec: RunSpec, rows: Sequence[Row]) -> list[Problem]:
    """Batch norm over one vector has nothing to compare it with; torch refuses to train that."""
    if spec.training.batch_size > 1:
        return []
    rule, fact = "batch_norm on vectors needs two samples in a batch", "there is one"
    return [
        _problem("training.batch_size", f"{rule} (layer {row.label})", fact, "Use batches of 2 or more.")
        for row in walk(rows)
        if row.kind == "batch_norm" and row.out_shape and math.prod(row.out_shape[1:]) == 1
    ]


@cache
def gpu_count() -> int:
    """NVIDIA GPUs of this machine, by its driver's own count; 0 without a driver. Asked once."""
    with contextlib.suppress(Exception):  # no driver, no permission, no library: all mean none to use
        import pynvml  # noqa: PLC0415  (slow to import, and most machines have no use for it)

        pynvml.nvmlInit()
        try:
            return int(pynvml.nvmlDeviceGetCount())
        finally:
            pynvml.nvmlShutdown()
    return 0


def _memory_problems(
    spec: RunSpec, shape: AnyShape, n_classes: int, sizes: Mapping[str, int]
) -> list[Problem]:
    """What exceeds the whole device is impossible; what exceeds its free part may fit once others ended."""
    device = _kind(spec)
    if device == "cuda":
        free, total = _gpu_bytes(int(spec.training.device.partition(":")[2] or 0))
        if not total:
            return []  # the engine reports on that
        own = 0
    else:
        memory = psutil.virtual_memory()
        free, total, own = memory.available, memory.total, PROCESS_BYTES
    facts = (spec, shape, n_classes, sizes)
    never = fit_problem(*facts, device=device, free=total, limit=total - own)
    if never is not None:
        whole = never.fact.removesuffix("are free") + "is all there is"
        return [never.model_copy(update={"fact": whole})]
    now = fit_problem(*facts, device=device, free=free, limit=free - own)
    return [now.model_copy(update={"severity": "warning"})] if now is not None else []


def _gpu_bytes(index: int) -> tuple[int, int]:
    """(free, total) bytes of a GPU; zeros where the driver does not say."""
    with contextlib.suppress(Exception):
        import pynvml  # noqa: PLC0415

        pynvml.nvmlInit()
        found = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(index))
        return int(found.free), int(found.total)
    return 0, 0


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"


def _problem(where: str, rule: str, fact: str, repair: str) -> Problem:
    return Problem(where=where, rule=rule, fact=fact, repair=repair)
