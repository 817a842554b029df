"""When to look inside: as often as its share of the run's time allows, and ever more seldom as it ages."""

from __future__ import annotations

AGE_SHARE = 0.01  # of the run's age; keeps a day's run at some hundred pictures per topic


class Budget:
    """A share of the run's wall time that all telemetry together may take.

    share: 0..1, of WatchSpec.budget; interval_s: the shortest time between two looks.
    Check: with a constant cost c per look and no other telemetry, the time spent stays within
    share * active_s + c; the number of looks grows with the logarithm of the run's age.
    """

    def __init__(self, share: float, interval_s: float) -> None:
        self.share = share
        self.interval_s = interval_s
        self.cost_s = 0.0  # of a look, smoothed
        self._last_s = 0.0

    def due(self, active_s: float, spent_s: float) -> bool:
        """Whether a look fits now: the run's active seconds, and what telemetry has taken of them.

        The first look of a run is not asked for here: it comes before training.
        """
        if active_s - self._last_s < max(self.interval_s, AGE_SHARE * active_s):
            return False
        return spent_s + self.cost_s <= self.share * active_s

    def looked(self, active_s: float, cost_s: float) -> None:
        """A look at `active_s` took `cost_s`. A rise is believed at once, a fall slowly."""
        self._last_s = active_s
        self.cost_s = max(cost_s, 0.7 * self.cost_s + 0.3 * cost_s)
