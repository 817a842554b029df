"""The same store on a real PostgreSQL server: runs, scalars, queue, ledger, trainings, migration."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import MetaData, Table, create_engine, insert, select, text

from tests.processes import living_home, until
from workbench.jobs import runs as jobs
from workbench.records import Change, Event, RunState, Scalars
from workbench.specs.presets import preset
from workbench.store import Query, Store, open_store
from workbench.store.schema import SCHEMA_VERSION
from workbench.store.states import HOST, started_at

pytestmark = pytest.mark.slow
SPEC = preset("mlp-tiny").spec.with_changes("training.epochs=2", "training.threads=1")
GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "home_v1"


def programs() -> Path | None:
    """The folder of the newest PostgreSQL server on this machine."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("postgres")
    return debian[-1] if debian else Path(found).parent if found else None


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server of the tests' own, without a database's name."""
    pytest.importorskip("psycopg")
    place = programs()
    if place is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="workbench-postgres-"))
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user:
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [place / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"],
        check=True, capture_output=True, user=user, cwd=folder,
    )  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [place / "postgres", "-D", data, "-p", str(port), "-k", folder, "-c", "fsync=off",
             "-c", "listen_addresses=127.0.0.1"],
            stdout=log, stderr=log, user=user, cwd=folder,
        )  # fmt: skip
    address = f"postgresql+psycopg://postgres@127.0.0.1:{port}"
    engine = create_engine(f"{address}/postgres", isolation_level="AUTOCOMMIT")

    def answers() -> bool:
        with contextlib.suppress(Exception), engine.connect():
            return True
        return False

    try:
        until(answers, f"a PostgreSQL server; it says: {(folder / 'log').read_text()[-500:]}")
        yield address
    finally:
        engine.dispose()
        process.send_signal(3)  # SIGQUIT: at once
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    name = f"d{abs(hash(request.node.name)):x}"
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server}/{name}"


@pytest.fixture
def store(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("WORKBENCH_STORE", url)
    monkeypatch.setattr(jobs, "ensure_supervisor", lambda *_: None)
    opened = open_store()
    yield opened
    opened.close()


def at_work(store: Store, run_id: str) -> None:
    assert store.runs.claim(run_id, os.getpid(), started_at(os.getpid()), HOST, slot="cpu")


def test_what_a_run_writes_is_read_back_as_it_was(store: Store) -> None:
    run_id = jobs.submit(store, SPEC)
    at_work(store, run_id)
    steps = np.arange(1, 10_001)
    values = np.sin(steps)
    values[77] = np.nan
    part = Scalars("train/loss", steps, steps / 46, 1e9 + steps, values)
    line = Change(5_000, {"training.optimizer.lr": 0.01, "training.freeze": [1]}, 1e9)
    event = Event("changed", "Learning rate", 5_000, 1.0, 1e9, {"changes": {}})
    store.flush(run_id, [part, event], [line], step=10_000, epoch=217.4, phase="running", peak_bytes=2**33)
    found = store.scalars.read(run_id, ["train/loss"])["train/loss"]
    assert found.values.tobytes() == values.tobytes()
    assert found.steps.tobytes() == steps.tobytes()
    assert store.ledger.list(run_id) == [line]
    assert store.events.since(run_id)[0] == [event]
    row = store.runs.get(run_id)
    assert (row.step, row.peak_bytes, row.slot, row.state) == (10_000, 2**33, "cpu", RunState.RUNNING)
    store.checkpoints.write(run_id, "last", b"weights", step=6_000, epoch=1.0, metrics={"val/loss": 0.1})
    store.truncate_after(run_id, 6_000)
    assert store.scalars.read(run_id)["train/loss"].steps[-1] == 6_000
    assert store.checkpoints.read(run_id, "last") == b"weights"
    assert [r.id for r in store.runs.search(Query(states=["running"]), sort_key="best:train/loss")[0]] == [
        run_id
    ]
    store.runs.exit(run_id, "parked")
    assert store.runs.get(run_id).parked
    jobs.resume(store, run_id, ["training.optimizer.lr=0.5"])
    assert [(x.step, dict(x.changes)) for x in store.ledger.list(run_id)] == [
        (5_000, dict(line.changes)), (6_000, {"training.optimizer.lr": 0.5}),
    ]  # fmt: skip
    jobs.stop(store, run_id)
    store.runs.delete(run_id)
    assert store.runs.count() == 0


def test_the_queue_keeps_its_order_and_gives_each_run_to_one(store: Store) -> None:
    a, b, c = (jobs.submit(store, SPEC.with_changes(f"name={name}")) for name in "abc")
    jobs.move(store, c, a)
    jobs.hold(store, [a])
    assert [row.id for row in store.runs.waiting()] == [c, a, b]
    taken: list[bool] = []

    def take() -> None:
        taken.append(store.runs.claim(c, os.getpid(), started_at(os.getpid()), HOST))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 7 + [True]
    assert store.runs.next_queued().id == b  # type: ignore[union-attr]
    store.commands.post(c, "change", {"changes": {"training.clip_norm": 1.0}})
    assert [command.payload for command in store.commands.take(c)] == [
        {"changes": {"training.clip_norm": 1.0}}
    ]


def test_one_supervisor_holds_the_lease(store: Store) -> None:
    me = (os.getpid(), started_at(os.getpid()), HOST)
    assert store.leases.acquire("supervisor", "one", *me, 5.0)
    assert not store.leases.acquire("supervisor", "two", *me, 5.0)
    assert store.leases.renew("supervisor", "one", 5.0)
    store.leases.release("supervisor", "one")
    assert store.leases.acquire("supervisor", "two", *me, 5.0)


def test_a_run_is_trained_parked_and_replayed(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_STORE", url)
    with living_home(tmp_path / "home") as store:
        run_id = jobs.submit(store, SPEC.with_changes("training.epochs=20"), held=True)
        store.commands.post(run_id, "step", {"steps": 5})
        jobs.release(store, [run_id])
        until(lambda: store.runs.get(run_id).state is RunState.PAUSED, "its pause")
        jobs.change(store, run_id, ["training.optimizer.lr=0.02"])
        until(lambda: store.ledger.list(run_id), "the change")
        jobs.park(store, run_id)
        until(lambda: store.runs.get(run_id).parked, "parked")
        jobs.resume(store, run_id)
        until(lambda: store.runs.get(run_id).state.is_over, "its end")
        assert store.runs.get(run_id).error is None
        child = jobs.fork(store, run_id, replay=True)
        until(lambda: store.runs.get(child).state is RunState.FINISHED, "the replay")
        one, other = (store.scalars.read(r, ["train/loss"])["train/loss"] for r in (run_id, child))
        assert one.values.tobytes() == other.values.tobytes()


def test_a_database_of_version_1_is_brought_up_to_date(
    url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(GOLDEN, home)
    old, new = create_engine(f"sqlite:///{home / 'workbench.db'}"), create_engine(url)
    tables = MetaData()
    tables.reflect(old)
    for table in tables.tables.values():
        for column in table.columns:
            column.type = column.type.as_generic()
    tables.create_all(new)
    with old.connect() as source, new.begin() as target:
        for table in tables.sorted_tables:
            rows = [dict(row._mapping) for row in source.execute(select(table))]
            if rows:
                target.execute(insert(table), rows)
            if "id" in table.columns and table.columns["id"].autoincrement is True:
                target.execute(text(f"SELECT setval('{table.name}_id_seq', 1000000)"))
    old.dispose()
    monkeypatch.setenv("WORKBENCH_STORE", url)
    store = open_store()
    row = store.runs.get("golden, version 1")
    assert (row.state, row.held, row.slot) == (RunState.FINISHED, False, None)
    assert len(store.scalars.read(row.id, ["train/loss"])["train/loss"]) == row.step
    store.ledger.add(row.id, [Change(1, {"training.clip_norm": 1.0}, 0.0)])
    assert len(store.ledger.list(row.id)) == 1
    about = Table("about", MetaData(), autoload_with=new)
    with new.connect() as connection:
        assert connection.execute(select(about.c.value)).scalar() == str(SCHEMA_VERSION)
    store.close()
    new.dispose()
