"""Processes that share each batch of one run: rank 0 leads, watches and saves; the others compute their part.

The loop knows rank 0's process alone. Before each update it says which step comes; every process takes its
part of that batch, gradients are summed over all, and each makes the same update: weights stay equal, bit for
bit. accelerate sets the processes up (gloo on CPUs, nccl on GPUs); the sums are torch's, one call a step on
the one vector of gradients (docs/adr/0011-processes.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from workbench.specs.errors import RunError

STEP, CHANGE, END = 1, 2, 3
FOREVER = timedelta(days=365)  # a paused run may wait for days; a process that is gone is noticed at once


class Order(NamedTuple):
    """What rank 0 says: an update (its step, and what a plateau has made of the rate), a change, the end."""

    verb: int
    step: int = 0
    factor: float = 1.0


class Team:
    """rank of this process, 0 to size - 1. Raises RunError from every method when another one is gone."""

    def __init__(self, rank: int, size: int, orders: Any = None) -> None:
        self.rank, self.size = rank, size
        self._orders = orders  # a group for small messages on the CPU, where gradients are on GPUs

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: Tensor) -> None:
        """Every process's tensor becomes the sum of all, in place."""
        self._do(lambda: dist.all_reduce(tensor))

    def say(self, order: Order) -> None:
        """Rank 0 alone."""
        told = torch.tensor([order.verb, order.step, order.factor], dtype=torch.float64)
        self._do(lambda: dist.broadcast(told, 0, group=self._orders))

    def listen(self) -> Order:
        """The others: waits for the next order."""
        told = torch.zeros(3, dtype=torch.float64)
        self._do(lambda: dist.broadcast(told, 0, group=self._orders))
        return Order(int(told[0]), int(told[1]), float(told[2]))

    def hand(self, blob: bytes = b"") -> bytes:
        """Rank 0's bytes, in every process."""
        size = torch.tensor([len(blob)], dtype=torch.int64)
        self._do(lambda: dist.broadcast(size, 0, group=self._orders))
        if self.leads:
            held = torch.frombuffer(bytearray(blob), dtype=torch.uint8) if blob else torch.empty(0)
        else:
            held = torch.empty(int(size), dtype=torch.uint8)
        if int(size):
            self._do(lambda: dist.broadcast(held, 0, group=self._orders))
        return blob if self.leads else held.numpy().tobytes()

    def _do(self, work: Callable[[], object]) -> None:
        try:
            work()
        except RuntimeError as error:
            raise RunError.of(
                "training.processes", "all processes of a run must live until its end",
                f"one of the {self.size} ended ({str(error).splitlines()[0][-120:]})",
                "Resume the run: it goes on from its last checkpoint.",
            ) from error  # fmt: skip


def join(rank: int, size: int, place: Path, on_gpu: bool = False) -> Team:
    """This process as one of `size`, once all of them have come. place: a file that does not exist yet, the
    same for all, in which they find each other."""
    from accelerate.state import PartialState  # noqa: PLC0415  (seconds, and most runs have one process)

    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(value) for name, value in names.items()})
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # or accelerate sets the threads, which the run does itself
    if not on_gpu:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # one machine: nothing goes over a network
    threads = torch.get_num_threads()
    PartialState(cpu=not on_gpu, init_method=f"file://{place}", rank=rank, world_size=size, timeout=FOREVER)
    torch.set_num_threads(threads)
    return Team(rank, size, dist.new_group(backend="gloo", timeout=FOREVER) if on_gpu else None)
