"""Which run may start on which device, decided from facts alone: the supervisor and the pages ask the same.

A device has a number of slots (WORKBENCH_SLOTS, 1 by default). A run takes a slot of its device for as
long as a process holds its memory, paused or not. Beside another run one starts only when its memory
fits as well. Devices are found without CUDA being initialised: that would spoil them for the forks.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from workbench.jobs.check import gpu_count
from workbench.specs.errors import WorkbenchError
from workbench.specs.run import from_dict
from workbench.store import RunRow

HELD = "Held: it waits to be released."
AUTO = ("cuda", "mps")  # what `device: auto` looks for, best first


@dataclass(frozen=True)
class Settings:
    """slots: device → runs that may work on it at a time. memory: bytes that runs on the CPU may take
    together, None for whatever the machine has free."""

    slots: Mapping[str, int] = field(default_factory=lambda: {"cpu": 1})
    memory: int | None = None

    def to_text(self) -> str:
        """One line that `from_text` reads back: cpu=2,cuda:0=1,memory=4000000000."""
        parts = [f"{name}={count}" for name, count in self.slots.items()]
        return ",".join(parts + ([f"memory={self.memory}"] if self.memory is not None else []))


def from_text(text: str) -> Settings | None:
    """What `to_text` wrote; None for anything else."""
    try:
        pairs = {name: int(value) for name, value in (part.rsplit("=", 1) for part in text.split(","))}
    except ValueError:
        return None
    memory = pairs.pop("memory", None)
    return Settings(pairs, memory)


def from_environment(devices: Sequence[str] | None = None) -> Settings:
    """What WORKBENCH_SLOTS and WORKBENCH_MEMORY say of this machine's devices.

    WORKBENCH_SLOTS: a number for every device, or `cpu=2,cuda=1,cuda:1=3`. WORKBENCH_MEMORY: bytes, or
    `4GB`. Nonsense counts as absent: a supervisor that does not start is worse than one slot.
    """
    slots = dict.fromkeys(devices if devices is not None else present(), 1)
    text = os.environ.get("WORKBENCH_SLOTS", "").replace(" ", "")
    if is_count(text):
        slots = dict.fromkeys(slots, max(1, int(text)))
    given = [part.partition("=") for part in text.split(",") if "=" in part]
    for name, _, count in sorted(given, key=lambda part: ":" in part[0]):  # cuda first, then cuda:1
        for device in slots:
            if is_count(count) and (device == name or device.partition(":")[0] == name):
                slots[device] = int(count)
    if not any(slots.values()):
        slots["cpu"] = 1
    return Settings(slots, _bytes(os.environ.get("WORKBENCH_MEMORY", "")))


def is_count(text: str) -> bool:
    """Whether a setting is a whole number that a person can have meant."""
    return text.isascii() and text.isdecimal() and len(text) <= 9


def present() -> list[str]:
    """The devices of this machine that torch could use: cuda:0 …, mps, cpu."""
    return [*cuda_devices(), *(["mps"] if sys.platform == "darwin" else []), "cpu"]


def cuda_devices() -> list[str]:
    """cuda:0 … as torch will number them; none where torch is built without CUDA. Asks the driver only."""
    if importlib.metadata.version("torch").endswith("+cpu"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [f"cuda:{i}" for i in range(gpu_count())]
    chosen: list[str] = []
    for name in (part.strip() for part in visible.split(",")):
        if not name or name == "-1" or gpu_count() == 0:  # CUDA reads up to the first that is none
            break
        chosen.append(f"cuda:{len(chosen)}")
    return chosen


@dataclass(frozen=True)
class Place:
    """What becomes of a waiting run now: the slot it can take, or the reason why it waits."""

    row: RunRow
    slot: str | None
    reason: str = ""


Fits = Callable[[RunRow, str, Sequence[RunRow]], str | None]  # None, or why it does not fit beside these


def plan(waiting: Sequence[RunRow], at_work: Sequence[RunRow], settings: Settings, fits: Fits) -> list[Place]:
    """Every waiting run, in order, with its slot or its reason; the first with a slot is to start.

    Nobody overtakes on the same device: a large run would wait for ever behind small ones. On a device
    without any run one starts whatever it needs: it fails clearly, and a stuck queue helps nobody.
    """
    busy = {slot: [row for row in at_work if slot_of(row, settings) == slot] for slot in settings.slots}
    waits_for: dict[str, RunRow] = {}  # device → the run that is first in line for it
    found: list[Place] = []
    for row in waiting:
        if row.held:
            found.append(Place(row, None, HELD))
            continue
        wanted = candidates(_device(row), settings)
        unused = [slot for slot in wanted if settings.slots.get(slot, 1) == 0]
        if len(unused) == len(wanted):  # and it stands in nobody's way
            found.append(Place(row, None, _not_used(unused[0])))
            continue
        free = [slot for slot in wanted if slot not in waits_for]
        free.sort(key=lambda slot: len(busy.setdefault(slot, [])) / max(1, settings.slots.get(slot, 1)))
        reason = ""
        for slot in free:
            others = busy[slot]
            if len(others) >= settings.slots.get(slot, 1):
                reason = reason or f"Waits for {_names(others)}."
                continue
            misfit = fits(row, slot, others) if others else None
            if misfit is None:
                found.append(Place(row, slot))
                others.append(row)
                break
            reason = reason or misfit
        else:
            first = next((waits_for[slot] for slot in wanted if slot in waits_for), None)
            found.append(Place(row, None, reason or (f"Waits behind {first.name}." if first else "")))
            for slot in free:
                waits_for[slot] = row
    return found


def candidates(device: str, settings: Settings) -> list[str]:
    """The slots a run with this `training.device` may take. auto takes any GPU; the CPU where none is."""
    usable = [slot for slot, count in settings.slots.items() if count > 0]
    if device == "auto":
        for kind in AUTO:
            if gpus := [slot for slot in usable if slot.partition(":")[0] == kind]:
                return gpus
        return ["cpu"]
    if device == "cuda":
        return [slot for slot in usable if slot.startswith("cuda:")] or ["cuda:0"]
    return [device]  # one the machine lacks has a slot of its own, in which the run fails with the reason


def slot_of(row: RunRow, settings: Settings) -> str:
    """The slot a run at work takes; of one started by an older version, by what it runs on."""
    if row.slot:
        return row.slot
    device = (row.device or "").replace(",", " ").split()
    return device[0] if device else candidates(_device(row), settings)[0]


def _not_used(slot: str) -> str:
    return (
        f"Waits: WORKBENCH_SLOTS gives {slot} no run. Give it one and start the workbench again, "
        "or fork the run with another training.device."
    )


def _device(row: RunRow) -> str:
    return _device_in(row.spec_json)


@lru_cache(maxsize=8192)  # thousands may wait, and each question goes through them all
def _device_in(spec_json: str) -> str:
    try:
        return from_dict(json.loads(spec_json)).training.device
    except WorkbenchError:  # a spec this version cannot read must not hold up the queue: it fails by itself
        return "cpu"


def _names(rows: Sequence[RunRow]) -> str:
    text = ", ".join(f"{row.name} ({row.state})" for row in rows[:3])
    return text if len(rows) <= 3 else f"{text} and {len(rows) - 3} more"


def _bytes(text: str) -> int | None:
    """`4GB`, `500MB` or plain bytes; None for anything else."""
    text = text.replace(" ", "").upper().removesuffix("B")
    for suffix, factor in (("K", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("", 1.0)):
        number = text.removesuffix(suffix) if suffix else text
        if (suffix == "" or text.endswith(suffix)) and number.replace(".", "", 1).isdecimal():
            return int(min(float(number) * factor, 2.0**62))  # hundreds of digits are infinite
    return None
