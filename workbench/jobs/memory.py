"""Whether a run's memory fits beside those at work: measured where a like run was, else estimated."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from workbench import catalog
from workbench.jobs.check import PROCESS_BYTES, memory_bytes, split_sizes
from workbench.specs.base import Pair, Tokens, Window
from workbench.specs.data import SeriesSpec, TextSpec
from workbench.specs.errors import WorkbenchError
from workbench.store import RunRow, Store

# What a forked run takes of its own before it holds a model: the rest is shared with the supervisor.
OWN_BYTES = 60_000_000
SERIES = SeriesSpec().model_dump(mode="json")
TEXT = TextSpec().model_dump(mode="json")
CONTEXT_BYTES = 600_000_000  # CUDA's own share of a GPU per process, which torch does not count


def expected(store: Store, row: RunRow) -> tuple[int, str]:
    """Bytes the run will take on its device, and whence that is known: "measured" or "estimated"."""
    spec = json.loads(row.spec_json)
    for peak, text in store.runs.peaks(row.data, row.model):
        if _alike(spec, json.loads(text)):
            return peak, "measured"
    try:
        shape, columns = catalog.shape_and_classes(store, row.spec.data, row.data_version)
        shape = row.spec.task.input(shape, columns)
    except WorkbenchError:  # it will fail with the reason
        return OWN_BYTES, "estimated"
    if isinstance(shape, Pair | Tokens | Window):
        sizes = split_sizes(store, row.spec, row.data_version)
        found = memory_bytes(row.spec, shape, columns, sizes)
    else:
        found = memory_bytes(row.spec, shape)
    return max(0, found - PROCESS_BYTES) + OWN_BYTES, "estimated"


def misfit(
    store: Store, row: RunRow, slot: str, others: Sequence[RunRow], limit: int | None = None
) -> str | None:
    """Why the run does not fit on `slot` beside `others`, in a sentence; None when it does.

    limit: bytes that runs on the CPU may take together. What the others will still grow by is kept free.
    """
    need, known = expected(store, row)
    free = free_bytes(slot)
    growth, taken = 0, 0
    for other in others:
        whole = max(other.peak_bytes or 0, expected(store, other)[0])
        growth += whole - (other.peak_bytes or 0)
        taken += other.peak_bytes or 0
    if limit is not None and slot == "cpu":
        free = min(free, limit - taken)
    margin = CONTEXT_BYTES if slot.startswith("cuda") else 0
    left = free - growth
    if need + margin <= left:
        return None
    names = ", ".join(other.name for other in others[:3])
    return (
        f"Its memory does not fit beside {names}: it needs {_size(need + margin)} ({known}), "
        f"{_size(max(0, left))} is free on {slot}."
    )


def free_bytes(slot: str) -> int:
    """Memory that can be taken on a device now."""
    if slot.startswith("cuda"):
        return _gpu_free(int(slot.partition(":")[2] or 0))
    return min(int(psutil.virtual_memory().available), _container_free())


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two runs take the same memory: the same model on the same data in the same batches."""

    def marks(spec: dict[str, Any]) -> tuple[Any, ...]:
        training = spec.get("training", {})
        given = spec.get("data", {})
        data = {key: given.get(key) for key in ("name", "size", "channels", "limit")}
        text = {**TEXT, **(given.get("text") or {})}  # of specs from before there were texts, too
        window = {**SERIES, **(given.get("series") or {})}
        model = {"decoder": [], "tie_embeddings": False, **(spec.get("model") or {})}
        return (
            model, data, text, window, spec.get("task", {}).get("kind", "classification"),
            training.get("batch_size"), training.get("accumulation_steps", 1), training.get("processes", 1),
            (training.get("distill") or {}).get("teacher"),  # which lies beside it
            training.get("precision"), training.get("optimizer", {}).get("kind"), bool(training.get("ema")),
        )  # fmt: skip

    return marks(one) == marks(other)


def _container_free() -> int:
    """What the control group of this process (a container, say) still allows; without end where none."""
    base = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError, IndexError):
        line = next(x for x in Path("/proc/self/cgroup").read_text().splitlines() if x.startswith("0::"))
        base = base / line[3:].lstrip("/")
    free = 2**62
    for folder in (base, *base.parents):  # every group above may set a limit of its own
        if not folder.is_relative_to("/sys/fs/cgroup"):
            break
        with contextlib.suppress(OSError, ValueError):
            most = int((folder / "memory.max").read_text())  # "max" is no number
            used = int((folder / "memory.current").read_text())
            stats = dict(x.split() for x in (folder / "memory.stat").read_text().splitlines())
            free = min(free, most - used + int(stats.get("inactive_file", 0)))  # the kernel gives that back
    return max(0, free)


def _gpu_free(index: int) -> int:
    with contextlib.suppress(Exception):  # no driver: torch will say so
        import pynvml  # noqa: PLC0415

        pynvml.nvmlInit()
        visible = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
        name = visible[index] if index < len(visible) else str(index)
        if name.isdecimal():
            handle = pynvml.nvmlDeviceGetHandleByIndex(int(name))
        else:
            handle = pynvml.nvmlDeviceGetHandleByUUID(name)
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
    return 0


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
