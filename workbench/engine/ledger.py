"""What was changed while a run was at work, to be done again at the same steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from workbench.records import Change
from workbench.specs.run import RunSpec
from workbench.specs.steer import differences, steered_by_line


class Ledger:
    """spec: with the lines up to step `start` in force; changed: what those made of the given one; the
    later lines wait for their step.

    Raises: SpecError when any line does not fit the spec: better before a run than in it.
    """

    def __init__(self, spec: RunSpec, lines: Sequence[Change], start: int) -> None:
        self.spec = spec
        self._later: deque[Change] = deque()
        at_the_end = spec
        for line in sorted(lines, key=lambda line: line.step):  # stable: as written, within a step
            at_the_end = steered_by_line(at_the_end, line.step, line.changes)
            if line.step <= start:
                self.spec = at_the_end
            else:
                self._later.append(line)
        self.changed: dict[str, tuple[Any, Any]] = differences(spec, self.spec)

    @property
    def next_step(self) -> int | None:
        """The step after which the next line comes into force; None when there is no more."""
        return self._later[0].step if self._later else None

    def due(self, step: int) -> list[Change]:
        """Lines up to `step`, each handed out once."""
        found = []
        while self._later and self._later[0].step <= step:
            found.append(self._later.popleft())
        return found
