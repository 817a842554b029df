"""What may befall a run from outside: stopped processes, closed terminals, lost data, full and closed disks,
clocks that jump. A clear state each, and a way on.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.processes import PATIENCE_S, at_step, cli, in_state, living_home, saved_step, until
from workbench import catalog
from workbench.jobs import runs as jobs
from workbench.jobs.launch import LEASE
from workbench.records import RunState
from workbench.specs.errors import WorkbenchError
from workbench.specs.presets import preset
from workbench.store import Store, open_store
from workbench.store.states import HOST, SILENT_S, started_at
from workbench.worker import bury

SHORT = preset("mlp-tiny").spec.with_changes("training.epochs=4", "training.threads=1")
LONG = SHORT.with_changes("training.epochs=5000", "name=long")


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small file system in memory at `folder`; the test is skipped where that is not allowed."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True, capture_output=True)


# ---------------------------------------------------------------- processes


@pytest.mark.slow
def test_a_process_that_hangs_keeps_its_state_and_its_silence_is_told(shared: Store) -> None:
    run_id = jobs.submit(shared, LONG)
    at_step(shared, run_id, 5)
    until(lambda: (shared.runs.get(run_id).silent_s or 99) < 5, "a sign of life")
    row = shared.runs.get(run_id)
    os.kill(row.pid or 0, signal.SIGSTOP)
    try:
        until(lambda: (shared.runs.get(run_id).silent_s or 0) > 10.5, "ten seconds of silence")
        assert shared.runs.get(run_id).state is RunState.RUNNING, "it may come back"
        shown = cli(shared.home, "show", run_id).stdout
        assert "No sign of life for 1" in shown
        assert f"its process is stopped. It goes on with kill -CONT {row.pid}." in shown
        assert json.loads(cli(shared.home, "show", run_id, "--json").stdout)["silent_s"] > 10
        doctor = cli(shared.home, "doctor")
        assert doctor.returncode == 1
        assert f"BAD  run {run_id} (long): No sign of life" in doctor.stdout
    finally:
        os.kill(row.pid or 0, signal.SIGCONT)
    at_step(shared, run_id, shared.runs.get(run_id).step + 50)
    until(lambda: (shared.runs.get(run_id).silent_s or 0) < 3, "signs of life")
    jobs.stop(shared, run_id)
    in_state(shared, run_id, RunState.STOPPED)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_app_that_is_told_to_end_ends_and_names_what_goes_on(
    shared: Store, number: signal.Signals
) -> None:
    run_id = jobs.submit(shared, LONG)
    at_step(shared, run_id, 5)
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.cli.main", "up", "--port", "0"], text=True, start_new_session=True,
        env={**os.environ, "WORKBENCH_HOME": str(shared.home)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # Under nohup the suite's children would not hear of a terminal that closes.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("The workbench is at")
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in err
    assert process.returncode == 0, "told, and not killed"
    assert "1 training goes on in the background: long" in err
    assert shared.runs.get(run_id).state is RunState.RUNNING
    jobs.stop(shared, run_id)
    in_state(shared, run_id, RunState.STOPPED)


# ---------------------------------------------------------------- data


def pictures(folder: Path) -> Path:
    for name, grey in (("dark", 20), ("light", 220)):
        (folder / name).mkdir(parents=True)
        for i in range(40):
            Image.fromarray(np.full((8, 8), grey + i % 7, np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.mark.slow
def test_a_data_set_deleted_under_a_run_ends_none_that_has_it_and_is_named_by_the_others(
    shared: Store, tmp_path: Path
) -> None:
    catalog.add(shared, pictures(tmp_path / "shades"), "shades")
    spec = LONG.with_changes("data={name: shades}", "model.layers.5.out_features=2", "training.batch_size=8")
    parked = jobs.submit(shared, spec)
    at_step(shared, parked, 5)
    jobs.park(shared, parked)
    until(lambda: shared.runs.get(parked).parked, "parked")
    running = jobs.submit(shared, spec)
    queued = jobs.submit(shared, spec.with_changes("training.epochs=1"))
    at_step(shared, running, 5)
    shutil.rmtree(shared.datasets.get("shades").path)
    shared.datasets.delete("shades")
    step = shared.runs.get(running).step
    at_step(shared, running, step + 50)  # it has what it needs in memory
    jobs.stop(shared, running)
    in_state(shared, running, RunState.STOPPED)
    jobs.resume(shared, parked)
    for run_id in (queued, parked):
        in_state(shared, run_id, RunState.FAILED)
        error = shared.runs.get(run_id).error
        assert error is not None
        assert "shades" in error["where"]
    saved = saved_step(shared, parked)
    catalog.add(shared, tmp_path / "shades", "shades")  # the same pictures again
    jobs.resume(shared, parked)
    at_step(shared, parked, saved + 10)
    jobs.stop(shared, parked)
    in_state(shared, parked, RunState.STOPPED)


# ---------------------------------------------------------------- disks


@pytest.mark.slow
def test_a_full_disk_ends_a_run_clearly_and_it_goes_on_once_there_is_room(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=24m"), living_home(tmp_path / "disk" / "home") as store:
        run_id = jobs.submit(store, LONG)
        saved_step(store, run_id)
        block = tmp_path / "disk" / "block"
        with contextlib.suppress(OSError), block.open("wb") as file:
            while True:
                file.write(bytes(65_536))
                file.flush()
        until(lambda: store.runs.get(run_id).state.is_over, "its end")
        assert store.runs.get(run_id).state in (RunState.FAILED, RunState.LOST)
        assert cli(store.home, "show", run_id).returncode == 0, "what is there can be read"
        block.unlink()
        error = until(lambda: store.runs.get(run_id).error, "the reason")
        assert any(word in str(error) for word in ("full", "No space left")), error
        jobs.resume(store, run_id)
        at_step(store, run_id, store.runs.get(run_id).step + 10)
        jobs.stop(store, run_id)
        in_state(store, run_id, RunState.STOPPED)


@pytest.mark.slow
def test_a_read_only_home_is_refused_with_the_repair(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=24m"):
        home = tmp_path / "disk" / "home"
        store = open_store(home)
        store.runs.create(SHORT)
        store.close()
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True, capture_output=True)
        for arguments in (["train", "mlp-tiny", "--detach"], ["rename", "mlp-tiny", "x"], ["doctor"]):
            found = cli(home, *arguments)
            assert found.returncode == 1, arguments
            assert "WORKBENCH_HOME" in found.stderr + found.stdout
        nowhere = cli(tmp_path / "disk" / "other", "runs")
        assert nowhere.returncode == 1
        assert "Set WORKBENCH_HOME" in nowhere.stderr


@pytest.mark.slow
def test_a_home_of_a_newer_version_is_refused_by_command_line_and_supervisor(tmp_path: Path) -> None:
    import sqlite3

    home = tmp_path / "home"
    open_store(home).close()
    with contextlib.closing(sqlite3.connect(home / "workbench.db")) as connection:
        connection.execute("UPDATE about SET value = '99'")
        connection.commit()
    found = cli(home, "runs")
    assert found.returncode == 1
    assert "a newer workbench wrote it" in found.stderr
    assert len(found.stderr.splitlines()) == 1
    done = subprocess.run(
        [sys.executable, "-m", "workbench.worker.supervisor"], capture_output=True, text=True,
        env={**os.environ, "WORKBENCH_HOME": str(home)}, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert "a newer workbench wrote it" in done.stderr
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- clocks


def test_a_clock_set_forward_buries_nobody_on_another_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    row = store.runs.create(LONG)
    store.runs.claim(row.id, 4711, 1.0, "elsewhere")
    store.runs.update(row.id, phase="running")
    undertaker = bury.Undertaker(store)
    wall, watch = time.time, time.monotonic
    monkeypatch.setattr("time.time", lambda: wall() + 7200)
    undertaker.look_around(set())
    assert store.runs.get(row.id).state is RunState.LOST, "for this moment, until its next beat"
    assert store.runs.get(row.id).error is None, "but nothing is written"
    store.runs.beat(row.id)
    assert store.runs.get(row.id).state is RunState.RUNNING
    undertaker.look_around(set())
    monkeypatch.setattr("time.time", lambda: wall() + 7200 + 2 * SILENT_S)
    undertaker.look_around(set())
    monkeypatch.setattr("time.monotonic", lambda: watch() + SILENT_S + 1)
    undertaker.look_around(set())
    assert store.runs.get(row.id).error is not None, "silent by our own stopwatch: it is gone"


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_clock_that_jumps_leaves_one_supervisor(
    home: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    store = open_store()
    me = (os.getpid(), started_at(os.getpid()), HOST)
    assert store.leases.acquire(LEASE, "first", *me, 5.0)
    wall = time.time
    monkeypatch.setattr("time.time", lambda: wall() + jump)
    # One who comes now may take it, whichever way it jumped; then the first one must notice.
    taken = store.leases.acquire(LEASE, "second", *me, 5.0)
    assert taken
    assert not store.leases.renew(LEASE, "first", 5.0)
    assert not store.leases.acquire(LEASE, "first", *me, 5.0)
    assert not store.leases.acquire(LEASE, "third", *me, 5.0)


def test_a_clock_set_back_makes_no_silence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    row = store.runs.create(LONG)
    store.runs.claim(row.id, os.getpid(), started_at(os.getpid()), HOST)
    wall = time.time
    monkeypatch.setattr("time.time", lambda: wall() - 86_400)
    assert store.runs.get(row.id).silent_s == 0.0
    assert store.runs.get(row.id).state is RunState.STARTING


def test_a_second_look_at_a_data_set_of_a_name_that_is_a_folder_here_means_the_set(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.worker.judge import judge

    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    store = open_store()
    row = store.runs.create(SHORT)
    data = catalog.load(store, SHORT.data)
    import torch

    from workbench.models.build import build
    from workbench.store.checkpoints import CheckpointInfo
    from workbench.tasks.choose import task_for
    from workbench.worker.trained import Trained

    model = build(SHORT.model, data.shape, seed=0)
    info = CheckpointInfo("last", 0, 0.0, 0.0, 0, {})
    trained = Trained(row, info, model.eval(), data, task_for(SHORT.task, 10))
    with torch.no_grad():
        assert judge(store, trained, "digits")["images"] == 1797
    with pytest.raises(WorkbenchError):
        judge(store, trained, "./digits")
