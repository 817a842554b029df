"""What the queue does: who is next, on which device, and why the others wait. Decided here, for the
supervisor that starts runs and for whoever shows it, so that what is said is what is done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.jobs.launch import log_file, supervisor
from workbench.jobs.memory import misfit
from workbench.jobs.slots import HELD, Place, Settings, from_environment, from_text, plan, slot_of
from workbench.records import RunState
from workbench.store import RunRow, Store

SLOW_START_S = 20.0  # a cold supervisor needs 3 to 8 s; longer means that something is wrong


@dataclass(frozen=True)
class SlotUse:
    """A device: how many runs may work on it at a time, and those that do. limit 0: it is not used."""

    slot: str
    limit: int
    runs: tuple[RunRow, ...]


def slots(store: Store) -> list[SlotUse]:
    """What each device does now."""
    settings = settings_of(store)
    at_work = [row for row in store.runs.active() if row.at_work and not row.is_own_loop]
    taken = [slot_of(row, settings) for row in at_work]
    names = [*settings.slots, *sorted(set(taken) - set(settings.slots))]
    return [
        SlotUse(
            name,
            settings.slots.get(name, 1),
            tuple(row for row, slot in zip(at_work, taken, strict=True) if slot == name),
        )
        for name in names
    ]


def settings_of(store: Store) -> Settings:
    """The living supervisor's slots; without one, what a supervisor started from here would have."""
    present = supervisor(store)
    return (from_text(present.settings) if present else None) or from_environment()


def places(store: Store, settings: Settings, waiting: Sequence[RunRow] | None = None) -> list[Place]:
    """Every waiting run, in order, with the slot it can take now or the reason why it waits."""
    rows = store.runs.waiting() if waiting is None else waiting
    at_work = [row for row in store.runs.active() if row.at_work]

    def fits(row: RunRow, slot: str, others: Sequence[RunRow]) -> str | None:
        return misfit(store, row, slot, others, settings.memory)

    return plan(rows, at_work, settings, fits)


def why_waiting(store: Store, row: RunRow) -> str | None:
    """Why a queued run has not started yet, in one sentence; None when it is not queued."""
    if row.state is not RunState.QUEUED:
        return None
    if row.held:
        return HELD
    # Held runs stand in nobody's way, and `train` asks this several times a second.
    found = {waiting.id: why for waiting, why in reasons(store, held=False)}
    return found.get(row.id, "It is about to start.")


def reasons(store: Store, held: bool = True) -> list[tuple[RunRow, str]]:
    """Every waiting run, in the order of the queue, with the reason why it waits in one sentence.

    held: with those that are held.
    """
    present = supervisor(store)
    found = []
    for place in places(store, settings_of(store), store.runs.waiting(held)):
        why = place.reason or "Waits for its turn."
        if place.slot is not None:  # it could start: somebody must do it
            why = "Waits for the supervisor."
            if present is None and time.time() - place.row.created > SLOW_START_S:
                why = f"Waits for the supervisor, which does not come up: see {log_file(store)}."
        found.append((place.row, why))
    return found
