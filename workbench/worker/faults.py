"""An exception as the error record of a run: where, rule, fact, repair, and the traceback."""

from __future__ import annotations

import traceback
from typing import Any

import torch
from sqlalchemy.exc import SQLAlchemyError

from workbench.specs.errors import WorkbenchError

SMALLER = "Use a smaller batch (training.batch_size) or a smaller model, then resume or fork."


def describe(error: BaseException, doing: str) -> dict[str, Any]:
    """The record of `error`, which happened while `doing` ("loading the data", "training")."""
    text = "".join(traceback.format_exception(error))
    where, rule, fact, repair = _parts(error, doing)
    return {"where": where, "rule": rule, "fact": fact, "repair": repair, "traceback": text}


def _parts(error: BaseException, doing: str) -> tuple[str, str, str, str]:
    message = _first_line(error)
    if isinstance(error, WorkbenchError) and error.problems:
        first = error.problems[0]
        return first.where, first.rule, first.fact, first.repair
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return doing, "the run must fit into the GPU's memory", _memory_fact(message), SMALLER
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        return doing, "the run must fit into the machine's memory", _memory_fact(message), SMALLER
    if "more than 1 value per channel" in message:
        return (
            doing, "batch_norm needs two values of each channel in every batch", "a batch held one",
            "Use a larger training.batch_size, more images, or a model without batch_norm.",
        )  # fmt: skip
    if _is_cuda(error, message):
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


def _is_cuda(error: BaseException, message: str) -> bool:
    lost = getattr(torch, "AcceleratorError", ())
    return isinstance(error, lost) or (isinstance(error, RuntimeError) and "CUDA" in message)


def _memory_fact(message: str) -> str:
    return f"there was none left ({message})" if message else "there was none left"


def _first_line(error: BaseException) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0][:300] if lines else ""
