"""Several runs on one device, and memory that runs out: measured, waited for, explained, and overcome."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from tests.processes import PATIENCE_S, at_step, in_state, living_home, saved_step, supervisor_pid, until
from workbench.jobs import queue as queueing
from workbench.jobs import runs as jobs
from workbench.records import RunState
from workbench.specs.presets import preset
from workbench.specs.run import RunSpec
from workbench.store import Store, open_store
from workbench.store.states import HOST
from workbench.worker.bury import Undertaker
from workbench.worker.faults import describe

SHORT = preset("mlp-tiny").spec.with_changes("training.epochs=4", "training.threads=1")
LONG = SHORT.with_changes("training.epochs=5000", "name=long")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Store]:
    with living_home(tmp_path / "home") as store:
        yield store


@pytest.mark.slow
def test_several_runs_share_the_cpu_while_their_memory_fits(
    own: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_SLOTS", "cpu=3")
    first = jobs.submit(own, SHORT)
    in_state(own, first, RunState.FINISHED)
    peak = own.runs.get(first).peak_bytes
    assert peak is not None
    assert 5e6 < peak < 300e6, "its own pages, without the 300 MB it shares with the supervisor"
    queue = [jobs.submit(own, LONG) for _ in range(4)]
    for run_id in queue[:3]:
        at_step(own, run_id, 1)
    assert {own.runs.get(run_id).slot for run_id in queue[:3]} == {"cpu"}
    time.sleep(1.2)
    waiting = own.runs.get(queue[3])
    assert waiting.state is RunState.QUEUED
    assert jobs.why_waiting(own, waiting) == "Waits for long (running), long (running), long (running)."
    use = next(use for use in queueing.slots(own) if use.slot == "cpu")
    assert (use.limit, {run.id for run in use.runs}) == (3, set(queue[:3]))
    jobs.stop(own, queue[1])
    at_step(own, queue[3], 1)


@pytest.mark.slow
def test_a_run_whose_memory_does_not_fit_waits_and_says_by_how_much(
    own: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_SLOTS", "3")
    monkeypatch.setenv("WORKBENCH_MEMORY", "100MB")
    first = jobs.submit(own, LONG)
    at_step(own, first, 1)
    large = preset("cnn-mnist").spec.with_changes("data.name=fashion-mnist-sample", "training.batch_size=512")
    second = jobs.submit(own, large)
    small = jobs.submit(own, SHORT)
    until(lambda: "fit" in (jobs.why_waiting(own, own.runs.get(second)) or ""), "the reason")
    why = jobs.why_waiting(own, own.runs.get(second))
    assert why is not None
    assert why.startswith("Its memory does not fit beside long: it needs ")
    assert "(estimated)" in why
    time.sleep(1.2)
    assert own.runs.get(second).state is RunState.QUEUED
    assert jobs.why_waiting(own, own.runs.get(small)) == f"Waits behind {large.name}.", "nobody overtakes"
    jobs.move(own, small, second)
    in_state(own, small, RunState.FINISHED)
    jobs.stop(own, second)


@pytest.mark.slow
def test_the_queue_goes_on_after_failures_and_with_the_next_supervisor(own: Store) -> None:
    bad = own.runs.create(SHORT.with_changes("data.name=gone")).id
    odd = own.runs.create(SHORT).id
    own.runs._set(odd, spec='{"version": 99}')
    held = jobs.submit(own, SHORT, held=True)
    good = jobs.submit(own, SHORT)
    in_state(own, good, RunState.FINISHED)
    assert own.runs.get(bad).state is own.runs.get(odd).state is RunState.FAILED
    assert "reads specs of version 1" in own.runs.get(odd).error["rule"]  # type: ignore[index]
    supervisor = psutil.Process(supervisor_pid(own))
    supervisor.kill()
    psutil.wait_procs([supervisor], timeout=PATIENCE_S)
    after = jobs.submit(own, SHORT)
    in_state(own, after, RunState.FINISHED)
    assert own.runs.get(held).state is RunState.QUEUED, "held through it all"
    jobs.release(own, [held])
    in_state(own, held, RunState.FINISHED)


def heavy() -> RunSpec:
    return preset("cnn-mnist").spec.with_changes(
        "data.name=fashion-mnist-sample", "data.limit=2048", "training.batch_size=1024",
        "training.threads=1", "training.epochs=null", "training.steps=6", "watch.feature_maps=false",
        "watch.filters=false", "watch.samples=0",
    )  # fmt: skip


@pytest.mark.slow
def test_out_of_memory_names_the_checkpoint_and_its_offer_brings_the_run_to_its_end(own: Store) -> None:
    run_id = jobs.submit(own, heavy(), held=True)
    own.commands.post(run_id, "step", {"steps": 1})
    jobs.release(own, [run_id])
    in_state(own, run_id, RunState.PAUSED)
    saved_step(own, run_id)
    row = own.runs.get(run_id)
    process = psutil.Process(row.pid)
    idle = process.memory_full_info()
    assert row.peak_bytes is not None
    a_batch = row.peak_bytes - idle.uss
    assert a_batch > 100e6, "else a limit tells nothing"
    limit = int(idle.vms + 0.7 * a_batch)
    process.rlimit(resource.RLIMIT_AS, (limit, limit))
    jobs.resume(own, run_id)
    in_state(own, run_id, RunState.FAILED)
    error = own.runs.get(run_id).error
    assert error is not None
    assert "DefaultCPUAllocator" in error["fact"], "torch's own error"
    assert error["rule"] == "the run must fit into the machine's memory"
    assert f"its last good checkpoint, step {row.step}" in error["repair"]
    assert error["line"].startswith("workbench/")
    assert error["offer"]["changes"] == {"training.accumulation_steps": 2}
    for _ in range(4):  # the address space has room for half a batch, or, fragmented, for less
        jobs.accept_offer(own, run_id)
        pid = until(lambda: (r := own.runs.get(run_id)).state.is_active and r.pid, "its next process")
        psutil.Process(pid).rlimit(resource.RLIMIT_AS, (limit, limit))
        until(lambda: own.runs.get(run_id).state.is_over, "its end")
        if own.runs.get(run_id).state is RunState.FINISHED:
            break
    assert own.runs.get(run_id).error is None
    steps = own.scalars.read(run_id, ["train/loss"])["train/loss"].steps
    assert steps.tolist() == [1, 2, 3, 4, 5, 6]


def test_every_kind_of_memory_that_runs_out_is_recognised_and_offers_only_what_helps() -> None:
    spec = heavy()
    errors = [
        MemoryError(), torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        OSError(12, "Cannot allocate memory"),
    ]  # fmt: skip
    for error in errors:
        record = describe(error, "training", spec, saved=120)
        assert "must fit into" in record["rule"], error
        assert record["offer"]["changes"] == {"training.accumulation_steps": 2}
        assert "step 120" in record["repair"]
        assert describe(error, "loading the data", spec, saved=None)["offer"] is None, "no batch is in it yet"
    one = spec.with_changes("training.batch_size=1")
    assert describe(MemoryError(), "training", one, saved=None)["offer"] is None
    halves = spec.with_changes("training.accumulation_steps=4")
    offer = describe(MemoryError(), "training", halves, saved=None)["offer"]
    assert offer["changes"] == {"training.accumulation_steps": 8}


def test_a_run_that_the_kernel_ended_for_memory_gets_the_offer_too(home: Path) -> None:
    store = open_store()
    row = store.runs.create(heavy())
    store.runs.claim(row.id, 2**22 - 1, 1.0, HOST)  # nobody's number
    store.checkpoints.write(row.id, "last", b"x", step=50, epoch=1.0, metrics={})
    Undertaker(store).ended(row.id, 2**22 - 1, signal.SIGKILL, memory_kill=True)
    found = store.runs.get(row.id)
    assert found.state is RunState.LOST
    assert found.error is not None
    assert found.error["fact"] == "the system ran out of memory and killed it (SIGKILL)"
    assert found.error["offer"]["changes"] == {"training.accumulation_steps": 2}
    assert "step 50" in found.error["repair"]


def test_a_device_that_is_lost_is_a_state_with_the_offer_to_resume() -> None:
    for text in ("CUDA error: unspecified launch failure", "CUDA error: the launch timed out"):
        record = describe(RuntimeError(text), "training", heavy(), saved=77)
        assert record["rule"] == "the GPU must answer"
        assert record["offer"]["changes"] == {}
        assert "step 77" in record["offer"]["text"]
    assert describe(RuntimeError("size mismatch"), "training", heavy(), saved=7)["offer"] is None


def test_own_memory_counts_what_is_written_and_keeps_its_peak() -> None:
    measured = """
from workbench.worker.vitals import own_bytes
before = own_bytes()
block = bytearray(80_000_000)
block[::4096] = b"x" * len(block[::4096])
grown = own_bytes()
del block
print(before, grown, own_bytes())
"""
    fresh = subprocess.run(  # a process with no former peak
        [sys.executable, "-c", measured], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    before, grown, after = map(int, fresh.stdout.split())
    assert 75e6 < grown - before < 120e6
    assert after > before + 60e6, "the peak stays"
