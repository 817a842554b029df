"""Build, train and look inside neural networks.

    import workbench
    run = workbench.train(workbench.RunSpec.model_validate(...))
    run.wait().metrics["val/accuracy"]["best"]

    with workbench.watch(model) as run:     # a training loop of your own, among the others
        ... run.step(loss=loss)

The names below are loaded when first used, so that a process which needs one room pays for one room.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.jobs.handle import Run, open_run, train
    from workbench.specs.run import RunSpec
    from workbench.worker.watching import Watched, watch

__version__ = "0.1.0"
__all__ = ["Run", "RunSpec", "Watched", "open_run", "train", "watch"]

_HOMES = {
    "Run": "workbench.jobs.handle",
    "RunSpec": "workbench.specs.run",
    "Watched": "workbench.worker.watching",
    "open_run": "workbench.jobs.handle",
    "train": "workbench.jobs.handle",
    "watch": "workbench.worker.watching",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module `workbench` has no attribute `{name}`")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
