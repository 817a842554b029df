"""When a checkpoint is due, and which: the newest state as "last", the best one before it."""

from __future__ import annotations

from time import perf_counter

from workbench.engine.checkpoint import Checkpoint, to_bytes
from workbench.engine.flush import Saved

SAVE_S = 60.0  # the longest time without a checkpoint
SHORTEST_SAVE_S = 1.0  # between two checkpoints of validations that follow each other quickly
SAVE_SHARE = 0.03  # of the time that such checkpoints may take


class Keeping:
    """best: captured and not yet handed over; asked: a validation has passed since the last checkpoint;
    cost_s: what the last one took its consumer."""

    def __init__(self) -> None:
        self.best: Checkpoint | None = None
        self.asked = False
        self.cost_s = 0.0
        self.rest()

    def rest(self) -> None:
        """The clock starts again."""
        self._saved = perf_counter()

    @property
    def due(self) -> bool:
        since = perf_counter() - self._saved
        shortest = max(SHORTEST_SAVE_S, self.cost_s / SAVE_SHARE)
        return since >= SAVE_S or (self.asked and since >= shortest)

    def handed(self, last: Checkpoint) -> tuple[Saved, ...]:
        """The best one first, if there is a new one: what "last" remembers as best must be on disk."""
        best, self.best = self.best, None
        self.asked = False
        self.rest()
        blob = to_bytes(last)
        found = [Saved("last", blob, last.step, last.epoch, last.metrics)]
        if best is not None:
            whole = blob if best.step == last.step else to_bytes(best)
            found.insert(0, Saved("best", whole, best.step, best.epoch, best.metrics))
        return tuple(found)
