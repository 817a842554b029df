"""What can be said of a spec before it runs: shapes, parameters, memory, problems. Plain Python.

The same function answers the model page at each keystroke, `workbench check`, and every submit.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import psutil

from workbench import catalog
from workbench.specs.base import Shape
from workbench.specs.errors import Problem, WorkbenchError
from workbench.specs.model import Row, activation_numbers
from workbench.specs.run import RunSpec
from workbench.specs.training import AnyOptimizer
from workbench.store import Store

FLOAT_BYTES = 4
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
                }
                for row in self.layers
            ],
            "problems": [problem.model_dump() for problem in self.problems],
            "memory_bytes": self.memory_bytes,
        }


def check(store: Store, spec: RunSpec) -> CheckReport:
    """Everything known about `spec` on this machine's data and devices; raises nothing for a bad one."""
    try:
        shape, n_classes = catalog.shape_and_classes(store, spec.data)
    except WorkbenchError as error:
        problems = tuple(p.model_copy(update={"where": f"data ({p.where})"}) for p in error.problems)
        return CheckReport(False, 0, (), problems + tuple(_device_problems(spec)), 0)
    rows = spec.model.rows(shape)
    found = spec.model.problems(shape, n_classes)
    memory = memory_bytes(spec, shape)
    found += _device_problems(spec)
    found += _memory_problems(spec, memory)
    found += _batch_problems(spec, rows)
    return CheckReport(
        ok=all(problem.severity != "error" for problem in found),
        parameters=sum(row.parameters for row in rows),
        layers=tuple(rows),
        problems=tuple(found),
        memory_bytes=memory,
    )


def memory_bytes(spec: RunSpec, shape: Shape) -> int:
    """What training needs at least: weights, gradients, optimizer state and a batch's activations.

    Activations count twice, for their gradients. The data set itself is not in it.
    """
    weights = spec.model.n_params(shape) * (2 + _optimizer_copies(spec.training.optimizer))
    activations = 2 * activation_numbers(spec.model, shape) * spec.training.batch_size
    return PROCESS_BYTES + FLOAT_BYTES * (weights + activations)


def _optimizer_copies(optimizer: AnyOptimizer) -> int:
    """How many numbers the optimizer keeps per weight."""
    if optimizer.kind in ("adam", "adamw"):
        return 2
    momentum = 1 if getattr(optimizer, "momentum", 0) else 0
    return momentum + (1 if optimizer.kind == "rmsprop" else 0)


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


def _batch_problems(spec: RunSpec, rows: Sequence[Row]) -> list[Problem]:
    """Batch norm over one vector has nothing to compare it with; torch refuses to train that."""
    if spec.training.batch_size > 1:
        return []
    alone = (r for r in rows if r.kind == "batch_norm" and r.out_shape and math.prod(r.out_shape[1:]) == 1)
    rule, fact = "batch_norm on vectors needs two images in a batch", "there is one"
    return [
        _problem("training.batch_size", f"{rule} (layer {row.index})", fact, "Use batches of 2 or more.")
        for row in alone
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


def _memory_problems(spec: RunSpec, needed: int) -> list[Problem]:
    if spec.training.device != "cpu" and gpu_count():
        return []  # the GPU's memory decides, and the engine reports on that
    memory = psutil.virtual_memory()
    if needed <= memory.available:
        return []
    # Only what exceeds the whole machine is impossible; the rest may fit once others have ended.
    impossible = needed > memory.total
    room = _gb(memory.total) if impossible else f"{_gb(memory.available)} of free memory"
    return [
        Problem(
            where="training.batch_size",
            rule=f"the run must fit into this machine's {room}",
            fact=f"it needs about {_gb(needed)}",
            repair="Use a smaller batch or a smaller model.",
            severity="error" if impossible else "warning",
        )
    ]


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"


def _problem(where: str, rule: str, fact: str, repair: str) -> Problem:
    return Problem(where=where, rule=rule, fact=fact, repair=repair)
