"""An exception as the error record of a run: where, rule, fact, repair, the line that matters, an offer."""

from __future__ import annotations

import errno
import os
import sysconfig
import traceback
from pathlib import Path
from typing import Any

import torch
from sqlalchemy.exc import SQLAlchemyError

from workbench.specs.errors import WorkbenchError
from workbench.specs.run import RunSpec
from workbench.worker.offers import going_on, same_again, smaller_parts

TRAINING = "training"  # what is being done when smaller parts of a batch help
SMALLER = "Use a smaller batch (training.batch_size) or a smaller model, then resume or fork."
PACKAGE = Path(__file__).resolve().parent.parent
# How memory that is not there is called, by torch, its libraries and the system.
MEMORY_WORDS = (
    "DefaultCPUAllocator", "could not create a memory object", "could not create a primitive",
    "std::bad_alloc", "CUDA error: out of memory", "CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED", "MPS backend out of memory",
)  # fmt: skip


def describe(
    error: BaseException, doing: str, spec: RunSpec | None = None, saved: int | None = None
) -> dict[str, Any]:
    """The record of `error`, which happened while `doing` ("loading the data", "training").

    spec: the run's, with its ledger in force; saved: the step of its last good checkpoint. With these the
    record names that checkpoint and offers what may help.
    """
    text = "".join(traceback.format_exception(error))
    where, rule, fact, repair = _parts(error, doing)
    offer = None
    if spec is not None and is_memory(error):
        offer = smaller_parts(spec) if doing == TRAINING else None
        if offer:
            repair = f"Accept the offer; {going_on(saved)} Or use a smaller model."
        else:
            repair = f"{SMALLER} Resumed, {going_on(saved)}"
    elif spec is not None and is_device(error):
        offer = same_again(saved)
        repair = f"Resume the run: {going_on(saved)} If it fails again, restart the machine or use the CPU."
    return {
        "where": where, "rule": rule, "fact": fact, "repair": repair,
        "line": _line(error), "offer": offer, "traceback": text,
    }  # fmt: skip


def is_memory(error: BaseException) -> bool:
    """Whether there was not enough memory: the machine's, the process's or the GPU's."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in MEMORY_WORDS)


def is_device(error: BaseException) -> bool:
    """Whether the GPU stopped answering as it should; every later call of this process would fail too."""
    if is_memory(error) or "device-side assert" in str(error):  # a bad index of ours: it would come again
        return False
    lost = getattr(torch, "AcceleratorError", ())
    return isinstance(error, lost) or (isinstance(error, RuntimeError) and "CUDA" in str(error))


def _parts(error: BaseException, doing: str) -> tuple[str, str, str, str]:
    message = _first_line(error)
    if isinstance(error, WorkbenchError) and error.problems:
        first = error.problems[0]
        return first.where, first.rule, first.fact, first.repair
    if is_memory(error):
        on_gpu = isinstance(error, torch.cuda.OutOfMemoryError) or "CU" in message or "MPS" in message
        memory = "the GPU's memory" if on_gpu else "the machine's memory"
        return doing, f"the run must fit into {memory}", _memory_fact(message), SMALLER
    if "more than 1 value per channel" in message:
        return (
            doing, "batch_norm needs two values of each channel in every batch", "a batch held one",
            "Use a larger training.batch_size, more images, or a model without batch_norm.",
        )  # fmt: skip
    if is_device(error):
        return (
            doing, "the GPU must answer", f"it reported: {message}",
            "Resume the run; if it fails again, restart the machine or set training.device to cpu.",
        )  # fmt: skip
    if isinstance(error, SQLAlchemyError):
        return (
            "the store", "the database must take what the run writes", message,
            "Check the disk's space and the database, then resume the run.",
        )  # fmt: skip
    if isinstance(error, OSError):
        return (
            doing, "files must be readable and writable", f"{type(error).__name__}: {message}",
            "Check the disk's space and permissions, then resume the run.",
        )  # fmt: skip
    return (
        doing,
        "it must work",
        f"{type(error).__name__}: {message}",
        "See the log; the traceback says where.",
    )


def _line(error: BaseException) -> str | None:
    """The place that matters: the last frame in our rooms or in somebody's own code, not in a library."""
    libraries = [Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "purelib", "platlib")]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename).resolve()
        ours = path.is_relative_to(PACKAGE)
        if ours or (path.is_file() and not any(map(path.is_relative_to, libraries))):
            shown = os.path.relpath(path, PACKAGE.parent) if ours else path
            return f"{shown}:{frame.lineno}, in {frame.name}: {(frame.line or '').strip()}"
    return None


def _memory_fact(message: str) -> str:
    return f"there was none left ({message})" if message else "there was none left"


def _first_line(error: BaseException) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0][:300] if lines else ""
