"""`workbench.watch(model)`: a training loop of one's own, in its own process, as a run among the others.

    with workbench.watch(model, name="mine", probe=images[:8], total_steps=1000) as run:
        for x, y in batches:
            loss = ...                       # forward, backward, update: as ever
            if not run.step(loss=loss):      # False once somebody pressed stop
                break

The loop stays the user's: nothing here touches the optimizer, the data or the random state. Values may be
tensors on any device; they are fetched once a flush.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from workbench.engine.device import describe as device_of
from workbench.engine.meter import Meter
from workbench.probes.budget import Budget
from workbench.probes.convolutions import MOST_LAYERS, conv_layers, feature_maps, filters
from workbench.records import Event, Panel, Record, Scalars
from workbench.specs.errors import RunError, SpecError, one_line
from workbench.specs.run import from_dict
from workbench.store import Store, open_store
from workbench.store.rows import OWN_LOOP
from workbench.store.signals import Command
from workbench.store.states import HOST, started_at
from workbench.worker.faults import describe
from workbench.worker.process import stamp
from workbench.worker.vitals import Vitals

FLUSH_S = 0.5
MOST_WAITING = 100_000  # points that wait while the store does not take them; the oldest go
PAUSED_TICK_S = 0.1
KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,149}")
LAST_TRIES = 3  # to write what is left, each as patient as the database
PLAIN = ("lr", "grad_norm")  # keys that belong to no split
Point = tuple[int, float, float, Any]  # step, epoch, time, value


def watch(
    model: nn.Module,
    *,
    name: str = "own loop",
    data: str = "own-data",
    probe: Tensor | None = None,
    labels: Sequence[str] = (),
    total_steps: int | None = None,
    steps_per_epoch: int | None = None,
    batch_size: int | None = None,
    budget: float = 0.03,
) -> Watched:
    """A run of the store that this process trains itself; it appears on the live page at once.

    data: what the data is called in lists. probe: a few inputs (P, C, H, W) as the model takes them, whose
    feature maps are followed; labels: P texts for them. total_steps, steps_per_epoch: for progress and the
    epoch axis, where known. budget: share of the time that looking inside may take.
    Raises SpecError for what cannot be, StoreError when the home does not open.
    """
    if not 0 < budget <= 1:
        raise SpecError.of("budget", "the share of time for looking inside is above 0, up to 1", f"{budget}")
    if probe is not None and probe.ndim != 4:
        raise SpecError.of(
            "probe", "the inputs to look at are images (P, C, H, W)", f"its shape is {tuple(probe.shape)}",
            "Leave it out for models that take something else.",
        )  # fmt: skip
    tree: dict[str, Any] = {"name": name, "data": {"name": data}, "model": {"layers": []}, "training": {}}
    if total_steps is not None:
        tree["training"] |= {"steps": total_steps, "epochs": None}
    if batch_size is not None:
        tree["training"]["batch_size"] = batch_size
    spec = from_dict({**tree, "watch": {"budget": budget}})
    store = open_store()
    row = store.runs.create(spec, held=True)  # nobody else may start it
    me = os.getpid()
    store.runs.claim(row.id, me, started_at(me), HOST, held_too=True, slot=OWN_LOOP)
    return Watched(store, row.id, model, probe, labels, total_steps, steps_per_epoch, budget)


class Watched:
    """A run whose loop is somebody's own. Use it as a context manager, or call `finish` at the end.

    What the store cannot take (a full disk, a locked database) never ends the loop: it is warned of once,
    and the points wait.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        model: nn.Module,
        probe: Tensor | None,
        labels: Sequence[str],
        total_steps: int | None,
        steps_per_epoch: int | None,
        budget: float,
    ) -> None:
        self.id = run_id
        self.stopping = False  # somebody asked for the end
        self._store, self._model, self._probe, self._labels = store, model, probe, list(labels)
        self._total, self._per_epoch = total_steps, steps_per_epoch
        self._step, self._pause_at, self._paused = 0, -1, False
        self._waiting: dict[str, list[Point]] = {}
        self._events: list[Event] = []
        self._layers = conv_layers(model)[:MOST_LAYERS]
        self._warned: set[str] = set()
        self._shown = False  # the probe itself
        self._over, self._pid = False, os.getpid()
        self._meter, self._budget, self._next = Meter(), Budget(budget, 1.0), 0.0
        self._vitals = Vitals(store, run_id)
        self._vitals.start()
        atexit.register(self._left)
        parameters = sum(p.numel() for p in model.parameters())
        kind = type(model).__name__
        self._safely("the store", lambda: store.runs.update(run_id, model=kind, held=False))
        self._say("started", f"A loop of one's own began: {kind}, {parameters:,} parameters.")
        self._flush("running", look=True)
        self._next = 0.0  # the first step is seen at once

    @property
    def epoch(self) -> float:
        """Passes over the data, where `steps_per_epoch` is known; else 0."""
        return self._step / self._per_epoch if self._per_epoch else 0.0

    def step(self, **values: Any) -> bool:
        """One update is done, with these values; whether to go on: False once somebody pressed stop.

        `loss` and other bare names become train/loss …; `lr` and `grad_norm` stay as they are, and so does
        a name with a slash. Values are numbers or tensors of one element, on any device. Waits here while
        the run is paused.
        """
        self._must_be_open()
        self._step += 1
        self._note(values, "train/")
        if self._step == self._pause_at or time.perf_counter() >= self._next:
            self._flush("running")
            self._obey()
        return not self.stopping

    def log(self, **values: Any) -> None:
        """Values at the present step that are not of the update: `run.log(loss=…, accuracy=…)` are val/loss
        and val/accuracy; a name with a slash (`**{"test/loss": …}`) stays as it is."""
        self._must_be_open()
        self._note(values, "val/")

    def event(self, text: str) -> None:
        """A sentence on the curve and in the log."""
        self._must_be_open()
        self._say("note", text)

    def finish(self, error: BaseException | None = None) -> None:
        """Write what is left and how it ended: finished; stopped, where somebody asked; failed with `error`.

        Calling it again does nothing.
        """
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self._end("stopped", "The program was told to end.")
        elif error is not None:
            record = describe(error, "training in a loop of one's own")
            self._end("failed", f"Failed: {record['fact']}", record)
        elif self.stopping:
            self._end("stopped", f"Stopped at step {self._step:,}.")
        else:
            self._end("finished", f"Finished at step {self._step:,}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(error)

    # ------------------------------------------------------------ what comes in

    def _note(self, values: dict[str, Any], split: str) -> None:
        now, epoch = time.time(), self.epoch
        for name, value in values.items():
            key = name if "/" in name or name in PLAIN else split + name
            kept = value.detach() if isinstance(value, Tensor) else value
            if isinstance(kept, Tensor):
                fits = kept.numel() == 1 and not kept.is_complex()
            else:
                fits = isinstance(kept, int | float | np.integer | np.floating)
            if not fits or not KEY.fullmatch(key):
                shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
                raise SpecError.of(
                    key[:150], "a value is a number, or a tensor of one element, under a plain name",
                    f"it is a {type(value).__name__}{shape}",
                )  # fmt: skip
            self._waiting.setdefault(key, []).append((self._step, epoch, now, kept))

    def _say(self, kind: str, text: str) -> None:
        text = one_line(text)[:2000]
        self._events.append(Event(kind, text, self._step, self.epoch, time.time()))
        with contextlib.suppress(OSError):
            path: Path = self._store.log_path(self.id)
            with path.open("a", encoding="utf-8", errors="replace") as log:
                log.write(f"{stamp()} {text}\n")

    # ------------------------------------------------------------ what goes out

    def _flush(self, phase: str, look: bool = False) -> None:
        """Everything since the last flush, in one transaction. What cannot be written now waits."""
        with self._meter.watching():
            waiting, self._waiting = self._waiting, {}
            events, self._events = self._events, []
            records: list[Record] = [*map(_chunk, waiting, waiting.values()), *events]
            records += self._vitals.take(self._step, self.epoch)
            if look or self._budget.due(self._meter.active_s, self._meter.spent_s):
                records += self._look()
            device = next((p.device for p in self._model.parameters()), torch.device("cpu"))
            eta = self._meter.eta_s(self._step, self._total) if self._total else None

            def write() -> None:
                self._store.must_be_there()
                self._store.flush(
                    self.id, records, step=self._step, epoch=self.epoch, total_steps=self._total, eta_s=eta,
                    device=device_of(device), telemetry_share=self._meter.share, phase=phase,
                    active_s=self._meter.active_s,
                )  # fmt: skip
                self._vitals.flushed()

            if not self._safely("the store", write):
                for key, points in waiting.items():
                    self._waiting[key] = (points + self._waiting.get(key, []))[-MOST_WAITING:]
                self._events = events[-100:] + self._events
        self._next = time.perf_counter() + FLUSH_S

    def _look(self) -> list[Record]:
        """Filters, and what they make of the probe; a model that cannot be looked into is left alone."""
        began = time.perf_counter()
        at: dict[str, Any] = {"step": self._step, "epoch": self.epoch, "time": time.time()}
        found: list[Record] = []

        def look() -> None:
            with torch.random.fork_rng(devices=[]):
                found.extend(filters(self._model, layer, **at) for layer in self._layers)
                if self._probe is not None and self._layers:
                    near = self._probe.to(next(self._model.parameters()).device)
                    found.extend(feature_maps(self._model, self._layers, near, **at))

        if self._layers and not self._safely("looking inside", look):
            self._layers = []
        if self._probe is not None and found and not self._shown:
            self._shown = True
            told = {"labels": self._labels or [str(i) for i in range(len(self._probe))]}
            found.append(Panel("probe", **at, data=told, arrays={"images": _pictures(self._probe)}))
        self._budget.looked(self._meter.active_s, time.perf_counter() - began)
        return found

    def _safely(self, what: str, do: Callable[[], object]) -> bool:
        """Do it; a failure is warned of once and never ends the user's loop."""
        try:
            do()
        except Exception as error:
            if what not in self._warned:
                self._warned.add(what)
                warnings.warn(f"workbench.watch: {what} failed: {error}", RuntimeWarning, stacklevel=4)
            return False
        self._warned.discard(what)
        return True

    # ------------------------------------------------------------ what is asked of it

    def _obey(self) -> None:
        """Do what pages and commands ask; return when it goes on, or is to stop."""
        if self._step == self._pause_at:
            self._paused = True
        self._listen()
        if self._paused:
            self._say("paused", f"Paused at step {self._step:,}.")
            self._flush("paused")
            with self._meter.idle():
                while self._paused:
                    time.sleep(PAUSED_TICK_S)
                    self._listen()
            self._say("resumed", f"Goes on at step {self._step:,}.")
            self._flush("running")
        if self.stopping:
            self._flush("stopping")

    def _listen(self) -> None:
        asked: list[Command] = []
        self._safely("its mailbox", lambda: asked.extend(self._store.commands.take(self.id)))
        for command in asked:
            if command.verb in ("pause", "resume"):
                self._paused = command.verb == "pause"
            elif command.verb == "step":
                self._pause_at, self._paused = self._step + int(command.payload["steps"]), False
            elif command.verb == "stop":
                self.stopping, self._paused = True, False

    # ------------------------------------------------------------ the end

    def _must_be_open(self) -> None:
        if self._over:
            raise RunError.of(
                f"run `{self.id}`", "only a run that goes on takes values", "it is over",
                "Watch the model again: that is a new run.",
            )  # fmt: skip

    def _end(self, outcome: str, text: str, error: dict[str, Any] | None = None) -> None:
        if self._over:
            return
        self._over = True
        atexit.unregister(self._left)
        self._say(outcome, text)
        for _ in range(LAST_TRIES):
            self._flush("stopping", look=True)
            if not self._waiting and not self._events:
                break
        self._vitals.stop()
        self._safely("the store", lambda: self._store.runs.exit(self.id, outcome, error))
        self._store.close()

    def _left(self) -> None:
        """The program ends, and nobody has said how the run did."""
        if os.getpid() != self._pid:  # a fork of the program, such as a loader of data
            return
        error = getattr(sys, "last_value", None)
        if error is not None:
            self.finish(error)
        else:
            self._end("stopped", "The program ended without saying that the run is finished.")


def _chunk(key: str, points: list[Point]) -> Scalars:
    """The points of one key. Tensors of one kind and device come over in a single copy."""
    steps, epochs, times, values = zip(*points, strict=True)
    tensors = [value for value in values if isinstance(value, Tensor)]
    if len(tensors) == len(values) and len({(t.dtype, t.device) for t in tensors}) == 1:
        numbers = torch.stack([t.reshape(()) for t in tensors]).cpu().double().numpy()
    else:
        numbers = np.array([float(value) for value in values])
    return Scalars(key, np.array(steps, dtype=np.int64), np.array(epochs), np.array(times), numbers)


def _pictures(probe: Tensor) -> np.ndarray:
    """The probe for people: (P, H, W) or (P, H, W, 3) uint8, each from its darkest to its brightest."""
    x = probe.detach().float().cpu()
    x = x[:, :1] if x.shape[1] != 3 else x
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    grey = ((x - low) / (high - low).clamp(min=1e-12) * 255).round().to(torch.uint8).numpy()
    return np.ascontiguousarray(grey.transpose(0, 2, 3, 1) if grey.shape[1] == 3 else grey[:, 0])
