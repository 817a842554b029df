"""Scalars, snapshots, checkpoints and signals: what goes in comes out, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.records import Event, Panel, Scalars, Tiles
from workbench.specs.errors import RunError, StoreError
from workbench.specs.presets import preset
from workbench.store import open_store, schema
from workbench.store.metrics import merge_metrics
from workbench.store.scalars import pack, unpack
from workbench.store.store import Store

SPEC = preset("mlp-tiny").spec


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


@pytest.fixture
def run(store: Store) -> str:
    return store.runs.create(SPEC).id


def scalars(key: str, first: int, values: list[float]) -> Scalars:
    n = len(values)
    steps = np.arange(first, first + n)
    return Scalars(key, steps, steps / 10, np.full(n, 1e9), np.array(values, float))


@given(st.lists(st.floats(width=64), min_size=1, max_size=50), st.integers(0, 2**40))
def test_a_chunk_survives_packing_with_every_nan_and_infinity(values: list[float], first: int) -> None:
    part = scalars("train/loss", first, values)
    back = unpack("train/loss", len(part), pack(part))
    for name in ("steps", "epochs", "times", "values"):
        np.testing.assert_array_equal(getattr(back, name), getattr(part, name))


def test_a_cursor_sees_each_chunk_once(store: Store, run: str) -> None:
    store.flush(run, [scalars("train/loss", 0, [3.0, 2.0]), scalars("lr", 0, [0.1, 0.1])], step=2)
    first, cursor = store.scalars.since(run)
    assert [part.key for part in first] == ["train/loss", "lr"]
    assert store.scalars.since(run, cursor) == ([], cursor)
    store.flush(run, [scalars("train/loss", 2, [1.0])], step=3)
    later, _ = store.scalars.since(run, cursor)
    assert [part.values.tolist() for part in later] == [[1.0]]


def test_progress_and_metrics_move_with_the_flush(store: Store, run: str) -> None:
    nan = float("nan")
    store.flush(
        run, [scalars("val/loss", 0, [2.0, 0.5, nan]), scalars("val/accuracy", 0, [0.1, 0.9, 0.8])], step=3
    )
    row = store.runs.get(run)
    assert row.step == 3
    assert row.metrics["val/loss"]["best"] == 0.5
    assert row.metrics["val/loss"]["best_step"] == 1
    assert row.metrics["val/loss"]["last"] != row.metrics["val/loss"]["last"], (
        "the last value is NaN and says so"
    )
    assert row.metrics["val/accuracy"]["best"] == 0.9


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.floats(allow_nan=True), min_size=1, max_size=5), min_size=1, max_size=6),
    st.integers(0, 30),
)
def test_truncation_leaves_exactly_the_steps_before(
    store: Store, pieces: list[list[float]], step: int
) -> None:
    run = store.runs.create(SPEC).id
    first = 0
    for piece in pieces:
        store.flush(run, [scalars("train/loss", first, piece)])
        first += len(piece)
    store.truncate_after(run, step)
    kept = store.scalars.read(run).get("train/loss")
    whole = [value for piece in pieces for value in piece]
    np.testing.assert_array_equal(kept.values if kept else [], whole[: step + 1])
    expected = merge_metrics(
        {}, [("train/loss", np.arange(len(whole))[: step + 1], np.array(whole[: step + 1]))]
    )
    np.testing.assert_equal(dict(store.runs.get(run).metrics), expected)


@pytest.mark.parametrize("name", ["loss", "scaled_mse", "ece", "distance", "kl", "reconstruction"])
def test_the_best_of_what_should_be_small_is_the_smallest(name: str) -> None:
    key, values = f"val/{name}", np.array([5.0, 0.1, 3.0])
    expected = {"last": 3.0, "best": 0.1, "best_step": 1}
    assert merge_metrics({}, [(key, np.arange(3), values)]) == {key: expected}
    assert merge_metrics({}, [("val/accuracy", np.arange(3), values)])["val/accuracy"]["best"] == 5.0


def test_snapshots_are_a_time_series(store: Store, run: str) -> None:
    for step in (0, 10, 20):
        pixels = np.full((4, 3, 3), step, np.uint8)
        tiles = Tiles("filters/0", step, 0.1, 1.0, pixels, np.zeros(4), np.ones(4), group=2, signed=True)
        store.flush(run, [tiles])
    assert store.snapshots.steps(run, "filters/0") == [0, 10, 20]
    for asked, got in ((None, 20), (15, 10), (0, 0)):
        found = store.snapshots.load(run, "filters/0", asked)
        assert isinstance(found, Tiles)
        assert found.step == got
        assert found.pixels[0, 0, 0] == got
        assert found.signed
    rows, cursor = store.snapshots.since(run)
    assert [row.step for row in rows] == [20], "only the newest of a topic is announced"
    assert store.snapshots.since(run, cursor) == ([], cursor)


def test_a_panel_keeps_its_data_and_arrays(store: Store, run: str) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    store.flush(run, [Panel("samples", 5, 0.5, 1.0, {"items": [{"label": "Bag"}]}, {"images": image})])
    back = store.snapshots.load(run, "samples")
    assert isinstance(back, Panel)
    assert back.data == {"items": [{"label": "Bag"}]}
    np.testing.assert_array_equal(back.arrays["images"], image)


def test_topics_come_in_layer_order(store: Store, run: str) -> None:
    for layer in (10, 2):
        empty = np.zeros((1, 1, 1), np.uint8)
        store.flush(run, [Tiles(f"filters/{layer}", 0, 0, 0, empty, np.zeros(1), np.zeros(1))])
    assert store.snapshots.topics(run) == ["filters/2", "filters/10"]


def test_a_snapshot_whose_file_is_gone_is_nothing_to_show(store: Store, run: str) -> None:
    empty = np.zeros((1, 1, 1), np.uint8)
    store.flush(run, [Tiles("filters/0", 0, 0, 0, empty, np.zeros(1), np.zeros(1))])
    for file in (store.run_folder(run) / "snapshots").iterdir():
        file.unlink()
    assert store.snapshots.load(run, "filters/0") is None


def test_a_checkpoint_replaces_the_one_before_it(store: Store, run: str) -> None:
    for step, blob in ((1, b"one"), (2, b"two")):
        store.checkpoints.write(run, "last", blob, step=step, epoch=0.0, metrics={"val/loss": 1.0})
    assert store.checkpoints.read(run, "last") == b"two"
    assert [info.step for info in store.checkpoints.list(run)] == [2]
    assert len(list((store.run_folder(run) / "checkpoints").iterdir())) == 1


def test_a_damaged_checkpoint_is_refused(store: Store, run: str) -> None:
    store.checkpoints.write(run, "best", b"x" * 100, step=1, epoch=0.0, metrics={})
    (file,) = (store.run_folder(run) / "checkpoints").iterdir()
    file.write_bytes(b"x" * 99 + b"y")
    with pytest.raises(StoreError, match="its checksum must match"):
        store.checkpoints.read(run, "best")


def test_a_missing_checkpoint_names_those_there_are(store: Store, run: str) -> None:
    with pytest.raises(RunError, match="has not saved one yet"):
        store.checkpoints.read(run, "best")
    store.checkpoints.write(run, "last", b"x", step=1, epoch=0.0, metrics={})
    with pytest.raises(RunError, match=r"Known: last|Did you mean `last`"):
        store.checkpoints.read(run, "best")


def test_commands_are_handed_out_once(store: Store, run: str) -> None:
    store.commands.post(run, "pause")
    store.commands.post(run, "stop", {"why": "enough"})
    assert [(c.verb, dict(c.payload)) for c in store.commands.take(run)] == [
        ("pause", {}),
        ("stop", {"why": "enough"}),
    ]
    assert store.commands.take(run) == []


def test_events_keep_their_order(store: Store, run: str) -> None:
    store.events.add(run, Event("started", "It began.", 0, 0.0, time.time()))
    found, cursor = store.events.since(run)
    store.flush(run, [Event("best", "Best so far.", 10, 1.0, time.time(), {"val/loss": 0.3})])
    later, _ = store.events.since(run, cursor)
    assert [e.kind for e in found + later] == ["started", "best"]
    assert later[0].data == {"val/loss": 0.3}


def test_a_lease_has_one_holder_until_it_lapses(store: Store) -> None:
    assert store.leases.acquire("supervisor", "a", 1, 1.0, "h", ttl_s=0.2)
    assert not store.leases.acquire("supervisor", "b", 2, 2.0, "h", ttl_s=5)
    assert store.leases.renew("supervisor", "a", 0.05)
    time.sleep(0.1)
    assert store.leases.acquire("supervisor", "b", 2, 2.0, "h", ttl_s=5)
    assert not store.leases.renew("supervisor", "a", 5)


def test_a_draft_is_kept_by_its_id(store: Store) -> None:
    assert store.drafts.get("d") is None
    store.drafts.put("d", "one")
    store.drafts.put("d", "two")
    assert store.drafts.get("d") == "two"


def test_a_database_of_a_newer_program_is_refused(store: Store) -> None:
    with store._engine.begin() as connection:
        connection.execute(schema.about.update().values(value="99"))
    with pytest.raises(StoreError, match="a newer workbench wrote it"):
        open_store()


def test_a_file_that_is_no_database_is_refused(home: Path) -> None:
    home.mkdir()
    (home / "workbench.db").write_bytes(b"this is not a database, not at all" * 100)
    with pytest.raises(StoreError, match="must be readable"):
        open_store()


def test_a_home_below_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StoreError, match="Set WORKBENCH_HOME"):
        open_store()


def test_an_unknown_kind_of_store_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_STORE", "papyrus://alexandria")
    with pytest.raises(StoreError, match="Use sqlite"):
        open_store()


def test_processes_that_open_a_fresh_home_together_share_it(home: Path) -> None:
    code = (
        "from workbench.store import open_store; from workbench.specs.presets import preset;"
        "open_store().runs.create(preset('mlp-tiny').spec)"
    )
    together = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(6)]
    assert [process.wait(timeout=60) for process in together] == [0] * 6
    assert len(open_store().runs.list()) == 6
