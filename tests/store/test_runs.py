"""Runs: the state follows from facts, references find what they should, nothing active is deleted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from workbench.records import RunState
from workbench.specs.errors import RunError
from workbench.specs.presets import preset
from workbench.store import open_store
from workbench.store.states import HOST, SILENT_S, derive, process_exists
from workbench.store.store import Store

SPEC = preset("mlp-tiny").spec


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


def take(store: Store, run_id: str, pid: int) -> bool:
    return store.runs.claim(run_id, pid, psutil.Process(pid).create_time(), HOST)


def test_a_new_run_waits_and_its_spec_is_frozen(store: Store) -> None:
    row = store.runs.create(SPEC)
    assert row.state is RunState.QUEUED
    assert store.runs.get(row.id).spec == SPEC


def test_a_run_is_taken_once(store: Store) -> None:
    row = store.runs.create(SPEC)
    assert take(store, row.id, os.getpid())
    assert not take(store, row.id, os.getpid())
    assert store.runs.next_queued() is None


def test_a_run_whose_process_was_killed_is_lost(store: Store) -> None:
    row = store.runs.create(SPEC)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    take(store, row.id, child.pid)
    store.runs.update(row.id, phase="running")
    assert store.runs.get(row.id).state is RunState.RUNNING
    child.kill()
    # Not yet waited for: a zombie is as gone as nothing at all.
    deadline = time.time() + 5
    while store.runs.get(row.id).state is not RunState.LOST and time.time() < deadline:
        time.sleep(0.01)
    assert store.runs.get(row.id).state is RunState.LOST
    child.wait()
    assert store.runs.get(row.id).state is RunState.LOST


def test_a_reused_process_number_is_not_the_run() -> None:
    mine = psutil.Process()
    assert process_exists(mine.pid, mine.create_time())
    assert not process_exists(mine.pid, mine.create_time() - 60)


def test_an_exit_record_outlives_the_process(store: Store) -> None:
    row = store.runs.create(SPEC)
    take(store, row.id, os.getpid())
    assert store.runs.exit(row.id, "finished")
    assert not store.runs.exit(row.id, "failed"), "the first record stands"
    assert store.runs.get(row.id).state is RunState.FINISHED


@pytest.mark.parametrize(("silence", "state"), [(1.0, RunState.RUNNING), (SILENT_S + 1, RunState.LOST)])
def test_on_another_machine_the_heartbeat_decides(silence: float, state: RunState) -> None:
    now = time.time()
    assert derive(None, None, "running", 1, 0.0, "elsewhere", now - silence, now) is state


def test_a_lost_run_can_wait_again_and_keeps_its_place_at_the_end(store: Store) -> None:
    first, second = store.runs.create(SPEC), store.runs.create(SPEC)
    take(store, first.id, os.getpid())
    store.runs.exit(first.id, "lost")
    store.runs.requeue(first.id)
    assert store.runs.get(first.id).state is RunState.QUEUED
    assert store.runs.next_queued().id == second.id  # type: ignore[union-attr]


def test_a_run_that_somebody_resumed_a_moment_ago_keeps_its_process(store: Store) -> None:
    row = store.runs.create(SPEC)
    take(store, row.id, os.getpid())
    store.commands.post(row.id, "pause")
    assert not store.runs.requeue(row.id, ("step", {"steps": 3}))
    assert store.runs.get(row.id).pid == os.getpid()
    assert [command.verb for command in store.commands.take(row.id)] == ["pause"]


def test_what_a_former_process_never_took_is_not_meant_for_the_next(store: Store) -> None:
    row = store.runs.create(SPEC)
    take(store, row.id, os.getpid())
    store.commands.post(row.id, "pause")
    store.runs.exit(row.id, "lost")
    assert store.runs.requeue(row.id, ("step", {"steps": 3}))
    assert [(command.verb, command.payload) for command in store.commands.take(row.id)] == [
        ("step", {"steps": 3})
    ]


def test_a_run_answers_to_its_id_a_prefix_and_its_name(store: Store) -> None:
    row = store.runs.create(SPEC.with_changes("name=the one"))
    for ref in (row.id, row.id[:-2], "the one"):
        assert store.runs.get(ref).id == row.id
    with pytest.raises(RunError, match="Did you mean `the one`"):
        store.runs.get("the oen")


def test_an_ambiguous_reference_is_refused(store: Store) -> None:
    store.runs.create(SPEC)
    store.runs.create(SPEC)
    with pytest.raises(RunError, match="several runs match"):
        store.runs.get(SPEC.name)


def test_wildcards_in_a_reference_match_nothing(store: Store) -> None:
    store.runs.create(SPEC)
    with pytest.raises(RunError, match="no id or name matches"):
        store.runs.get("%")


def test_what_runs_is_not_deleted_and_what_is_over_goes_whole(store: Store) -> None:
    row = store.runs.create(SPEC)
    take(store, row.id, os.getpid())
    with pytest.raises(RunError, match="only an ended run can be deleted"):
        store.runs.delete(row.id)
    store.runs.exit(row.id, "stopped")
    folder = store.run_folder(row.id)
    assert folder.is_dir()
    store.runs.delete(row.id)
    assert not folder.exists()
    assert store.runs.list() == []


def test_every_write_moves_the_revision(store: Store) -> None:
    row = store.runs.create(SPEC)
    before = store.runs.revision(row.id)
    store.runs.rename(row.id, "again")
    assert store.runs.revision(row.id) > before
    assert store.runs.revision("nobody") == -1


@pytest.mark.parametrize("bad", ["../etc", "a/b", "", "x" * 65, "a\x00b"])
def test_a_name_never_becomes_a_path(store: Store, bad: str) -> None:
    with pytest.raises(RunError, match="an id has letters"):
        store.run_folder(bad)
