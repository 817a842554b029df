"""A thread beside the training loop: a heartbeat each second, and what the machine is doing.

Keys: system/cpu_percent (the whole machine, 0 to 100), system/memory_mb (resident memory of the
run's process, 1e6 bytes), and on NVIDIA GPUs system/gpu_percent (busy share of the device) and
system/gpu_memory_mb (in use on the device, by everybody).

The peak of the memory that is the run's own is measured too: on the CPU pages that no other process
shares (a forked run shares most of torch with its supervisor), on a GPU what torch has reserved there.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from workbench.records import Scalars
from workbench.store import Store

BEAT_EVERY_S = 1.0
SAMPLE_EVERY_S = 2.0
KIB = 1024


class Vitals:
    """Start it, hand its samples to each flush, stop it. Only its own thread measures."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._samples: list[tuple[float, dict[str, float]]] = []
        self._beaten = time.monotonic()
        self._gpu: Any = None
        self._device = "cpu"
        self.peak_bytes: int | None = None  # most memory of its own so far, on its device
        self._process = psutil.Process()
        self._thread = threading.Thread(target=self._watch, name="vitals", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def flushed(self) -> None:
        """A flush beats by itself; the thread can spare its own write."""
        self._beaten = time.monotonic()

    def use_device(self, device: str) -> None:
        """Follow this GPU as well ("cuda:0 …"); anything else has none to follow."""
        self._device = device.replace(",", " ").split()[0] if device.strip() else "cpu"
        if self._gpu is None and device.startswith("cuda"):
            self._gpu = _gpu_handle(device) or False

    def take(self, step: int, epoch: float) -> list[Scalars]:
        """The samples since the last call, one chunk per key, placed at `step`."""
        with self._lock:
            samples, self._samples = self._samples, []
        columns: dict[str, list[tuple[float, float]]] = {}
        for moment, values in samples:
            for key, value in values.items():
                columns.setdefault(key, []).append((moment, value))
        return [
            Scalars(
                key,
                np.full(len(points), step, dtype=np.int64),
                np.full(len(points), epoch),
                np.array([moment for moment, _ in points]),
                np.array([value for _, value in points]),
            )
            for key, points in columns.items()
        ]

    def _watch(self) -> None:
        psutil.cpu_percent()  # the first call only sets the mark
        sampled = time.monotonic() - SAMPLE_EVERY_S + 0.5  # the first sample comes early
        while not self._over.wait(0.25):
            now = time.monotonic()
            if now - sampled >= SAMPLE_EVERY_S:
                sampled = now
                self.measure_peak()
                with contextlib.suppress(Exception):  # a sample missed is no reason to end a run
                    values = self._measure()
                    with self._lock:
                        self._samples.append((time.time(), values))
                        del self._samples[:-100]  # a paused run flushes nothing
            if now - self._beaten >= BEAT_EVERY_S:
                self._beaten = now
                with contextlib.suppress(Exception):  # a locked database: the next beat will do
                    self._store.runs.beat(self._run_id)

    def measure_peak(self) -> int | None:
        """Look at the memory once more; the peak so far. Any thread may ask."""
        with contextlib.suppress(Exception):  # not on this system: it stays unknown
            taken = own_bytes() if self._device == "cpu" else _reserved_bytes(self._device)
            if taken:
                self.peak_bytes = max(self.peak_bytes or 0, taken)
        return self.peak_bytes

    def _measure(self) -> dict[str, float]:
        values = {
            "system/cpu_percent": psutil.cpu_percent(),
            "system/memory_mb": self._process.memory_info().rss / 1e6,
        }
        if self._gpu:
            values.update(_gpu_values(self._gpu))
        return values


def own_bytes() -> int:
    """The most memory that this process has had to itself, in bytes: pages shared with nobody.

    Linux keeps the peak of all resident pages (VmHWM); how many of them are shared is as of now.
    Elsewhere the resident memory must do.
    """
    if not psutil.LINUX:
        return int(psutil.Process().memory_info().rss)
    facts = _kib("/proc/self/smaps_rollup")
    own, resident = facts["Private_Clean"] + facts["Private_Dirty"], facts["Rss"]
    return KIB * (own + max(0, _kib("/proc/self/status")["VmHWM"] - resident))


def _kib(path: str) -> dict[str, int]:
    """The lines `Name:  123 kB` of a file of the kernel."""
    found = {}
    for line in Path(path).read_text(encoding="ascii", errors="replace").splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            found[name] = int(rest[:-3])
    return found


def _reserved_bytes(device: str) -> int:
    """What torch has reserved at most on a GPU. Asks its own books, never the device."""
    torch: Any = sys.modules["torch"]
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_reserved(int(device.partition(":")[2] or 0)))
    return int(torch.mps.driver_allocated_memory()) if device.startswith("mps") else 0


def _gpu_handle(device: str) -> Any:
    """NVML's handle of a torch device; the two number GPUs differently, so it goes by uuid."""
    with contextlib.suppress(Exception):
        import pynvml  # noqa: PLC0415  (only where there is a GPU)
        import torch  # noqa: PLC0415

        index = int(device.split()[0].partition(":")[2] or 0)
        pynvml.nvmlInit()
        with contextlib.suppress(Exception):
            uuid = f"GPU-{torch.cuda.get_device_properties(index).uuid}"
            return pynvml.nvmlDeviceGetHandleByUUID(uuid)
        return pynvml.nvmlDeviceGetHandleByIndex(index)
    return None


def _gpu_values(handle: Any) -> Mapping[str, float]:
    import pynvml  # noqa: PLC0415

    values: dict[str, float] = {}
    with contextlib.suppress(Exception):  # slices of a GPU (MIG) have no utilisation
        values["system/gpu_percent"] = float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    with contextlib.suppress(Exception):
        values["system/gpu_memory_mb"] = pynvml.nvmlDeviceGetMemoryInfo(handle).used / 1e6
    return values
