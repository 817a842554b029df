"""A database whose bytes are broken: every verb says so, and `doctor --salvage` saves what is there."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Said
from workbench.jobs import runs as jobs
from workbench.records import Change, Event, RunState, Scalars
from workbench.specs.presets import preset
from workbench.store import open_store
from workbench.store.states import HOST, started_at

SPEC = preset("mlp-tiny").spec
PAGE = 4096


@pytest.fixture
def file(home: Path) -> Path:
    """A database with two ended runs and one at work, closed, its log moved into the file."""
    store = open_store()
    for name, end in (("one", "finished"), ("two", "failed"), ("three", None)):
        run_id = store.runs.create(SPEC.with_changes(f"name={name}")).id
        store.runs.claim(run_id, os.getpid(), started_at(os.getpid()), HOST)
        steps = np.arange(1, 2001)
        for part in range(10):
            at = steps + 2000 * part
            points = Scalars("train/loss", at, at / 46, 1e9 + at, np.cos(at))
            event = Event("validated", "Validated", int(at[-1]), 1.0, 1e9)
            change = Change(int(at[-1]), {"training.optimizer.lr": 0.1}, 1e9)
            store.flush(run_id, [points, event], [change], step=int(at[-1]), epoch=1.0, phase="running")
        store.checkpoints.write(
            run_id, "last", _safetensors(500), step=500, epoch=1.5, metrics={"val/loss": 0.25}
        )
        if end:
            error = {"where": "w", "rule": "r", "fact": "f", "repair": ""} if end == "failed" else None
            store.runs.exit(run_id, end, error)
    store.close()
    path = home / "workbench.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def _safetensors(step: int) -> bytes:
    meta = json.dumps({"step": step, "epoch": 1.5, "metrics": {"val/loss": 0.25}})
    tensor = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    header = json.dumps({"__metadata__": {"workbench": meta}, "model/w": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(16)


def overwrite(file: Path, start: int, count: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(np.random.default_rng(0).bytes(count))


VERBS = [
    ["runs"], ["show", "one"], ["log", "one"], ["metrics", "one"], ["pause", "one"], ["park", "one"],
    ["resume", "one"], ["step", "one", "1"], ["stop", "one"], ["change", "one", "training.clip_norm=1"],
    ["ledger", "one"], ["fork", "one"], ["queue"], ["hold", "one"], ["release", "one"],
    ["move", "one", "--last"], ["rename", "one", "x"], ["delete", "one", "-y"], ["tag", "one", "+x"],
    ["archive", "one"], ["train", "mlp-tiny", "--detach"], ["check", "mlp-tiny"], ["data", "list"],
    ["evaluate", "one"], ["up", "--port", "0"],
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_every_verb_says_that_the_database_is_damaged(say: Said, file: Path, verb: list[str]) -> None:
    overwrite(file, 0, 100)
    code, out, err = say(*verb)
    assert (code, out) == (2, "")
    assert "workbench doctor --salvage" in err
    assert len(err.splitlines()) == 1


def test_doctor_finds_what_a_first_look_does_not(say: Said, file: Path) -> None:
    assert "ok   store" in say("doctor")[1]
    size = file.stat().st_size
    overwrite(file, (size // PAGE // 2) * PAGE, 8 * PAGE)
    code, out, _ = say("doctor")
    assert code == 1
    assert "BAD  store: the database is damaged" in out
    assert "doctor --salvage" in out


def test_a_whole_database_is_left_alone(say: Said, file: Path) -> None:
    before = file.read_bytes()
    assert say("doctor", "--salvage")[1] == "The database is whole: nothing to salvage.\n"
    assert file.read_bytes() == before


def salvaged(say: Said, file: Path) -> dict[str, object]:
    damaged = file.read_bytes()
    code, out, err = say("doctor", "--salvage", "--json")
    assert code == 0, err
    found: dict[str, object] = json.loads(out)
    assert Path(str(found["kept"])).read_bytes() == damaged, "the old file is kept as it was"
    assert "ok   store: 3 runs" in say("doctor")[1]
    return found


def test_bytes_broken_in_the_middle_cost_only_what_stood_there(say: Said, file: Path) -> None:
    size = file.stat().st_size
    overwrite(file, (size // PAGE // 2) * PAGE, 3 * PAGE)
    found = salvaged(say, file)
    store = open_store()
    chunks = found["rows"]["scalar_chunks"]  # type: ignore[index]
    assert 15 <= chunks < 30 or chunks == 30, "most of the 30 chunks"
    names = {row.name: row.state for row in store.runs.list()}
    assert names.keys() == {"one", "two", "three"}
    assert names["one"] is RunState.FINISHED
    whole = sum(len(store.scalars.read(row.id).get("train/loss", [])) for row in store.runs.list())
    assert whole >= 30_000, "of 60,000 points"


def test_a_destroyed_header_costs_nothing(say: Said, file: Path) -> None:
    overwrite(file, 0, 100)
    found = salvaged(say, file)
    assert found["rows"]["scalar_chunks"] == 30  # type: ignore[index]
    assert found["rows"]["ledger"] == 30  # type: ignore[index]
    store = open_store()
    row = store.runs.get("two")
    assert (row.state, row.error["fact"]) == (RunState.FAILED, "f")  # type: ignore[index]
    points = store.scalars.read(row.id)["train/loss"]
    np.testing.assert_array_equal(points.values, np.cos(np.arange(1, 20_001)))


def test_where_nothing_is_left_the_runs_come_back_from_their_folders(say: Said, file: Path) -> None:
    overwrite(file, 0, file.stat().st_size)
    found = salvaged(say, file)
    assert len(found["folders"]) == 3  # type: ignore[arg-type]
    store = open_store()
    states = {row.name: row.state for row in store.runs.list()}
    assert states == {"one": RunState.FINISHED, "two": RunState.FAILED, "three": RunState.LOST}
    row = store.runs.get("three")
    assert row.spec == SPEC.with_changes("name=three")
    (info,) = store.checkpoints.list(row.id)
    assert (info.name, info.step, info.epoch, info.metrics) == ("last", 500, 1.5, {"val/loss": 0.25})
    assert store.checkpoints.read(row.id, "last") == _safetensors(500)
    assert row.step == 500
    jobs.resume(store, row.id)
    assert store.runs.get(row.id).state is RunState.QUEUED


def test_a_log_cut_off_is_no_damage(say: Said, home: Path) -> None:
    store = open_store()
    ids = [store.runs.create(SPEC).id for _ in range(5)]
    log = home / "workbench.db-wal"
    whole = log.read_bytes()
    database = (home / "workbench.db").read_bytes()
    store.close()
    (home / "workbench.db").write_bytes(database)
    log.write_bytes(whole[: len(whole) * 2 // 3])  # as a power cut may leave it
    (home / "workbench.db-shm").unlink(missing_ok=True)
    assert say("doctor")[0] == 0
    left = [row["id"] for row in json.loads(say("runs", "--json")[1])]
    assert 0 < len(left) < 5
    assert set(left) <= set(ids)


def test_nothing_is_replaced_while_somebody_works_with_it(say: Said, file: Path) -> None:
    import subprocess
    import sys

    code = f"import time; f = open({str(file)!r}, 'rb'); print(1, flush=True); time.sleep(60)"
    held = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert held.stdout is not None
        held.stdout.readline()
        overwrite(file, 0, 100)
        status, _, err = say("doctor", "--salvage")
    finally:
        held.kill()
        held.wait()
        held.stdout.close()  # type: ignore[union-attr]
    assert status == 1
    assert f"kill {held.pid}" in err
    assert not list(file.parent.glob("*.damaged-*"))
