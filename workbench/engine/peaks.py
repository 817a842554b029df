"""How much memory a step takes, as torch's allocator tells, and what stays for a whole run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.autograd.profiler import profile

from workbench.engine.checkpoint import to_bytes
from workbench.engine.device import synchronize
from workbench.engine.trainer import Trainer
from workbench.records import Data


def peak_of(trainer: Trainer, work: Callable[[], object]) -> int:
    """The most bytes that `work` has at a time beyond what was there."""
    if trainer.device.type == "cuda":
        synchronize(trainer.device)
        before = int(torch.cuda.memory_allocated(trainer.device))
        torch.cuda.reset_peak_memory_stats(trainer.device)
        work()
        synchronize(trainer.device)
        return int(torch.cuda.max_memory_allocated(trainer.device)) - before
    return allocated_peak(work)


def allocated_peak(work: Callable[[], object]) -> int:
    """The most bytes that torch's CPU allocator had given out at a time during `work`, beyond before it."""
    with profile(profile_memory=True) as seen:
        kept = work()
    found = seen.kineto_results
    events = [e for e in found.events() if e.name() == "[memory]"] if found is not None else []
    events.sort(key=lambda event: event.start_ns())
    most = now = 0
    for event in events:
        now += int(event.nbytes())
        most = max(most, now)
    del kept
    return most


def samples_bytes(trainer: Trainer, data: Data, sizes: Mapping[str, int] | None) -> int:
    """Bytes of samples and labels that stay for the whole run."""
    samples = 0
    for name in ("train", "validation", "test"):
        split = getattr(data, name, None)
        feed = getattr(trainer, name, None)  # of the test split there is none
        n = len(split) if split is not None else 0
        if feed is not None:
            n = feed.n
        if split is None or not n:
            continue
        held = feed.held_bytes if feed is not None else 0
        if trainer.device.type == "cpu":
            held += split.nbytes
        if name == "train":
            held += 16 * n  # the epoch's order, and its labels in that order
        samples += held * (sizes[name] if sizes else n) // n
    return samples


def copies_bytes(trainer: Trainer) -> int:
    """Bytes that writing a best and a last checkpoint takes: two copies, and each as a file."""
    blobs: list[bytes] = []

    def write() -> object:
        best, last = trainer.capture(metrics={}), trainer.capture(metrics={})
        blobs.extend(to_bytes(state) for state in (last, best))
        return best, last

    return allocated_peak(write) + sum(len(blob) for blob in blobs)


def bytes_of(tensor: Tensor) -> int:
    return int(tensor.numel() * tensor.element_size())
