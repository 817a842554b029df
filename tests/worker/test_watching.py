"""`workbench.watch`: a loop of one's own is a run among the others, and stays what it was."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import workbench
from tests.live.conftest import frames_of, of_kind
from tests.processes import until
from workbench.jobs import queue as queueing
from workbench.jobs import runs as jobs
from workbench.live.hub import Hubs, Viewer
from workbench.records import RunState
from workbench.specs.errors import RunError, SpecError
from workbench.store import Store, open_store
from workbench.worker.bury import Undertaker
from workbench.worker.watching import Watched

REPO = Path(__file__).resolve().parents[2]
STEPS = 40


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(home)
    yield opened
    opened.close()


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, 3)
    )


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand((64, 1, 8, 8), generator=generator)
    return x, torch.arange(64) % 3


def train(model: nn.Module, told: Callable[[Tensor], object]) -> list[float]:
    """A plain loop; the losses it saw. Ends early when `told(loss)` is False."""
    x, y = images()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    torch.manual_seed(5)
    losses = []
    for step in range(STEPS):
        rows = torch.arange(16) + 16 * (step % 4)
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if told(loss) is False:
            break
    return losses


def watched(**more: object) -> Watched:
    return workbench.watch(network(), name="mine", **more)  # type: ignore[arg-type]


def test_every_step_is_in_the_store_and_the_numbers_are_those_of_the_loop_alone(store: Store) -> None:
    alone = network()
    expected = train(alone, lambda _: None)
    model = network()
    with workbench.watch(
        model, name="mine", data="noise", probe=images()[0][:3], total_steps=STEPS, steps_per_epoch=4
    ) as run:
        assert store.runs.get("mine").state is RunState.RUNNING, "seen from the first moment on"
        losses = train(model, lambda loss: run.step(loss=loss, lr=0.05))
        run.log(loss=0.25, accuracy=torch.tensor(0.5))
    assert losses == expected, "watching changes nothing, bit for bit"
    assert all(map(torch.equal, model.state_dict().values(), alone.state_dict().values()))
    row = store.runs.get(run.id)
    assert (row.state, row.step, row.total_steps, row.epoch) == (RunState.FINISHED, STEPS, STEPS, STEPS / 4)
    assert (row.name, row.data, row.model) == ("mine", "noise", "Sequential")
    history = workbench.open_run(run.id).history()
    assert history["train/loss"].steps.tolist() == list(range(1, STEPS + 1))
    assert history["train/loss"].values.tolist() == pytest.approx(expected, rel=1e-6)
    assert set(history) >= {"train/loss", "lr", "val/loss", "val/accuracy"}
    assert row.metrics["val/accuracy"]["best"] == 0.5
    assert [event.kind for event in store.events.since(run.id)[0]] == ["started", "finished"]
    assert "Finished at step 40." in store.log_path(run.id).read_text()


def test_filters_and_feature_maps_are_followed_through_time(store: Store) -> None:
    model = network()
    with workbench.watch(model, probe=images()[0][:3]) as run:
        first = model[0].weight.detach().clone()
        train(model, lambda loss: run.step(loss=loss))
    assert {"filters/0", "maps/0", "probe"} <= set(store.snapshots.topics(run.id))
    steps = store.snapshots.steps(run.id, "filters/0")
    assert (steps[0], steps[-1]) == (0, STEPS)
    begun, ended = (store.snapshots.load(run.id, "filters/0", step) for step in (0, STEPS))
    for tiles, weight in ((begun, first), (ended, model[0].weight)):
        assert tiles.highs.max() >= weight.max().item() - 1e-6  # type: ignore[union-attr]
    assert not np.array_equal(begun.lows, ended.lows)  # type: ignore[union-attr]
    assert store.snapshots.load(run.id, "maps/0", 0).pixels.shape == (12, 6, 6)  # type: ignore[union-attr]
    probe = store.snapshots.load(run.id, "probe")
    assert probe is not None
    assert probe.arrays["images"].shape == (3, 8, 8)  # type: ignore[union-attr]


def test_the_live_page_s_stream_has_it_while_it_trains(store: Store) -> None:
    run = watched(probe=images()[0][:2])
    train(network(), lambda loss: run.step(loss=loss))
    run._flush("running")

    async def look() -> list[tuple[dict[str, object], bytes]]:
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run.id, viewer)
        found = await frames_of(viewer)
        hub.leave(viewer)
        return found

    seen = asyncio.run(look())
    [status] = [head for head, _ in of_kind(seen, "status")][-1:]
    assert (status["state"], status["step"], status["name"]) == ("running", STEPS, "mine")
    assert of_kind(seen, "scalars")[0][0]["series"][0]["total"] == STEPS
    run.finish()


def test_pause_step_and_stop_reach_the_loop(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.worker.watching.FLUSH_S", 0.0)
    run = watched()
    steps: list[int] = []

    def loop() -> None:
        while run.step(loss=1.0):
            steps.append(len(steps) + 1)
        run.finish()

    def paused_at(step: int) -> None:
        until(
            lambda: (row := store.runs.get(run.id)).state is RunState.PAUSED and row.step == step, "a pause"
        )

    jobs.pause(store, run.id)
    program = threading.Thread(target=loop, daemon=True)
    program.start()
    try:
        paused_at(1)
        jobs.step(store, run.id, 3)
        paused_at(4)
        assert steps == [1, 2, 3], "the fourth has not returned"
        jobs.resume(store, run.id)
        until(lambda: len(steps) > 5, "more steps")
    finally:
        jobs.stop(store, run.id)
        program.join(60)
    row = store.runs.get(run.id)
    assert row.state is RunState.STOPPED
    assert row.step == len(steps) + 1
    kinds = [event.kind for event in store.events.since(run.id)[0]]
    assert kinds == ["started", "paused", "resumed", "paused", "resumed", "stopped"]


def test_an_error_in_the_loop_is_the_run_s_error_with_the_line_that_matters(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), watched() as run:
        run.step(loss=1 / 0)
    row = store.runs.get(run.id)
    assert row.state is RunState.FAILED
    assert row.error is not None
    assert row.error["fact"] == "ZeroDivisionError: division by zero"
    assert "run.step(loss=1 / 0)" in row.error["line"]


# One process loads torch; each ending is that of a fork of it, which leaves as any program does.
ENDINGS = """
import os, sys, workbench.worker.watching
from torch import nn

for name, ending in ENDINGS.items():
    if os.fork() == 0:
        break
    os.wait()
else:
    sys.exit()
run = workbench.watch(nn.Linear(2, 2), name=name)
run.step(loss=1.0)
exec(ending)
"""


@pytest.mark.slow
def test_a_program_s_end_is_told_as_it_was(store: Store) -> None:
    endings = {
        "finished": "run.finish()",
        "no word": "",
        "exception": "raise ValueError('mine')",
        "ctrl-c": "raise KeyboardInterrupt",
        "killed": f"os.kill(os.getpid(), {int(signal.SIGKILL)})",
    }
    subprocess.run(
        [sys.executable, "-c", f"ENDINGS = {endings!r}\n{ENDINGS}"], check=True, timeout=250,
        env={**os.environ, "PYTHONPATH": str(REPO)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    found = {row.name: row for row in store.runs.list()}
    assert {name: row.state.value for name, row in found.items()} == {
        "finished": "finished", "no word": "stopped", "exception": "failed", "ctrl-c": "stopped",
        "killed": "lost",
    }  # fmt: skip
    assert {row.step for row in found.values()} == {1}
    assert (found["exception"].error or {})["fact"] == "ValueError: mine"
    Undertaker(store).look_around(set())
    assert "Start your program again" in (store.runs.get("killed").error or {})["repair"]


def test_it_takes_no_slot_and_only_its_own_program_can_bring_it_back(store: Store) -> None:
    run = watched()
    assert all(not use.runs for use in queueing.slots(store)), "the queue goes on beside it"
    refused: list[Callable[[], object]] = [
        lambda: jobs.park(store, run.id), lambda: jobs.fork(store, run.id),
        lambda: jobs.change(store, run.id, ["training.optimizer.lr=0.1"]),
    ]  # fmt: skip
    run.step(loss=1.0)
    for verb in refused:
        with pytest.raises(RunError, match="a program of your own trains it"):
            verb()
    run.finish(KeyboardInterrupt())
    with pytest.raises(RunError, match="only a run that the workbench trains can be resumed"):
        jobs.resume(store, run.id)
    with pytest.raises(RunError, match="only a run that goes on takes values"):
        run.step(loss=1.0)
    run.finish()
    assert store.runs.get(run.id).state is RunState.STOPPED, "the first word stands"


def test_what_is_no_value_is_refused_at_once(store: Store) -> None:
    with watched() as run:
        for bad in (torch.ones(2), "0.5", None, torch.tensor(1j)):
            with pytest.raises(SpecError, match="a value is a number, or a tensor of one element"):
                run.step(loss=bad)
        with pytest.raises(SpecError, match="under a plain name"):
            run.log(**{"a b/c": 1.0})
        run.step(loss=float("nan"), steps_done=np.int64(3), flag=True)
    history = store.scalars.read(run.id)
    assert np.isnan(history["train/loss"].values).all()
    assert history["train/flag"].values.tolist() == [1.0]
    for wrong in ({"probe": torch.ones(3)}, {"budget": 0.0}, {"data": "no/name"}, {"total_steps": 0}):
        with pytest.raises(SpecError):
            watched(**wrong)


def test_a_home_that_goes_away_never_ends_the_loop(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.worker.watching.FLUSH_S", 0.0)
    run = watched()
    home.rename(home.with_name("moved"))

    def loop() -> list[float]:
        losses = train(network(), lambda loss: run.step(loss=loss))
        run.finish()
        return losses

    with pytest.warns(RuntimeWarning, match="the store failed") as told:
        losses = loop()
    assert len(losses) == STEPS
    assert len(told) == 1, "said once"


def test_a_model_that_cannot_be_looked_into_is_left_alone(store: Store) -> None:
    with pytest.warns(RuntimeWarning, match="looking inside failed"):
        run = watched(probe=torch.rand(2, 5, 8, 8))
    assert all(run.step(loss=1.0) for _ in range(3))
    run.finish()
    assert store.runs.get(run.id).state is RunState.FINISHED


def test_the_example_in_the_document_runs_and_learns(store: Store) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (REPO / "docs" / "watch.md").read_text(), re.S)
    exec(code, {})
    row = store.runs.get("my loop")
    assert (row.state, row.step, row.total_steps) == (RunState.FINISHED, 160, 160)
    assert row.metrics["val/loss"]["best"] < 0.69
    assert {"filters/0", "maps/0"} <= set(store.snapshots.topics(row.id))
