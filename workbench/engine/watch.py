"""What the loop needs of those who look inside. `probes.watch.Watcher` is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import nn

from workbench.records import Record


class Watch(Protocol):
    """Who looks inside."""

    def due(self, active_s: float, spent_s: float) -> bool:
        """Whether to look now: the run's active seconds, and those that telemetry took."""
        ...

    def look(self, model: nn.Module, step: int, epoch: float, time: float) -> Sequence[Record]:
        """What is seen. Must leave weights, gradients, modes, hooks and random states as they were.

        An error ends the watching and not the run.
        """
        ...
