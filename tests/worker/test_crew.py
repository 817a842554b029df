"""A run of two processes: the losses of one, one voice, and no orphan whoever is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from tests.processes import at_step, in_state, leave_no_run, living_home, saved_step, until
from workbench.engine.checkpoint import from_bytes
from workbench.jobs import runs as jobs
from workbench.records import RunState
from workbench.specs.run import RunSpec, from_dict
from workbench.store import Store

pytestmark = pytest.mark.slow

LAYERS = [
    {"kind": "flatten"}, {"kind": "linear", "out_features": 48}, {"kind": "relu"},
    {"kind": "linear", "out_features": 10},
]  # fmt: skip
DROPPING = [*LAYERS[:3], {"kind": "batch_norm"}, {"kind": "dropout", "p": 0.3}, LAYERS[3]]


def spec(layers: list[dict[str, object]] = LAYERS, name: str = "team", **training: object) -> RunSpec:
    return from_dict(
        {
            "name": name,
            "data": {"name": "digits"},
            "model": {"family": "mlp", "layers": layers},
            "training": {"batch_size": 32, "epochs": 2, "device": "cpu", "threads": 2, **training},
            "watch": {"interval": 5.0},
        }
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with living_home(tmp_path_factory.mktemp("crew") / "home") as store:
        yield store


@pytest.fixture(autouse=True)
def _nothing_stays(home: Store) -> Iterator[None]:
    yield
    leave_no_run(home)


def values(store: Store, run_id: str, key: str = "train/loss") -> np.ndarray:
    return store.scalars.read(run_id, [key])[key].values


def trained(store: Store, wanted: RunSpec) -> str:
    run_id = jobs.submit(store, wanted)
    in_state(store, run_id, RunState.FINISHED)
    return run_id


def peers(store: Store, run_id: str) -> list[psutil.Process]:
    """The processes beside the run's own."""
    pid = store.runs.get(run_id).pid
    assert pid is not None
    return until(lambda: psutil.Process(pid).children(), "a second process")


def gone(*processes: psutil.Process) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def test_two_processes_have_the_losses_and_weights_of_one(home: Store) -> None:
    wanted = {"l1": 1e-5, "clip_norm": 1.0, "accumulation_steps": 2, "ema": 0.9}
    one, two = (trained(home, spec(processes=n, **wanted)) for n in (1, 2))
    for key in ("train/loss", "train/accuracy", "grad_norm", "val/loss"):
        assert np.allclose(values(home, one, key), values(home, two, key), rtol=2e-4, atol=1e-5), key
    parts = [from_bytes(home.checkpoints.read(run, "last")).part("model") for run in (one, two)]
    assert all(np.allclose(parts[0][name], parts[1][name], atol=1e-4) for name in parts[0])
    log = home.log_path(two).read_text()
    assert "2 processes share each batch" in log
    assert log.count("Finished at step") == 1  # one voice


def test_killed_stopped_or_resumed_no_process_is_left_and_the_history_is_the_undisturbed_one(
    home: Store,
) -> None:
    training = {"processes": 2, "epochs": 12, "schedule": {"kind": "cosine"}}
    whole = trained(home, spec(DROPPING, **training))
    # A peer is killed: the run fails with the reason, and its other processes go. The run pauses by itself,
    # so that it cannot end before it is killed.
    run_id = jobs.submit(home, spec(DROPPING, **training), held=True)
    home.commands.post(run_id, "step", {"steps": 100})
    jobs.release(home, [run_id])
    in_state(home, run_id, RunState.PAUSED)
    until(lambda: saved_step(home, run_id) == 100, "the checkpoint of its pause")
    (peer,) = peers(home, run_id)
    peer.kill()
    jobs.resume(home, run_id)
    in_state(home, run_id, RunState.FAILED)
    row = home.runs.get(run_id)
    assert row.error is not None
    assert row.error["rule"] == "all processes of a run must live until its end"
    until(lambda: gone(peer), "the peer's end")
    # Resumed, and the run's own process is killed: the kernel takes the other one with it.
    assert home.runs.requeue(run_id, ("step", {"steps": 100}))
    in_state(home, run_id, RunState.PAUSED)
    (peer,) = peers(home, run_id)
    pid = home.runs.get(run_id).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    in_state(home, run_id, RunState.LOST)
    until(lambda: gone(peer), "the peer's end")
    jobs.resume(home, run_id)
    in_state(home, run_id, RunState.FINISHED)
    assert np.array_equal(values(home, run_id), values(home, whole))  # bit for bit
    assert len(values(home, run_id)) == home.runs.get(run_id).total_steps


def test_changes_and_a_stop_reach_every_process(home: Store) -> None:
    run_id = jobs.submit(home, spec(processes=2, epochs=5000))
    at_step(home, run_id, 20)
    jobs.pause(home, run_id)
    in_state(home, run_id, RunState.PAUSED)
    (peer,) = peers(home, run_id)
    jobs.change(home, run_id, ["training.optimizer.lr=0.0005", "training.freeze=[1]"])
    jobs.step(home, run_id, 10)
    until(lambda: home.runs.get(run_id).state is RunState.PAUSED and len(home.ledger.list(run_id)), "steps")
    jobs.stop(home, run_id)
    in_state(home, run_id, RunState.STOPPED)
    until(lambda: gone(peer), "the peer's end")
    assert values(home, run_id, "lr")[-1] == pytest.approx(0.0005)
