"""Sinks, read back with the libraries they are written for: TensorBoard's and MLflow's own."""

from __future__ import annotations

import io
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.processes import living_home, until
from workbench import catalog
from workbench.engine import fit as loop
from workbench.engine import keeping
from workbench.engine.batches import normalised
from workbench.engine.checkpoint import from_bytes
from workbench.jobs import runs as jobs
from workbench.models.build import build
from workbench.probes.watch import Watcher
from workbench.records import Event, RunState, Scalars
from workbench.specs.presets import preset
from workbench.specs.run import RunSpec
from workbench.store import Store, open_store
from workbench.tasks.choose import task_for
from workbench.worker.eventfile import EventFile
from workbench.worker.sinks import FOLDER, Sinks, mosaic
from workbench.worker.tracking import EXPERIMENT, TAG

# MLflow's models warn of a loader strategy that SQLAlchemy 2.1 deprecates, TensorBoard leaves files open.
pytestmark = pytest.mark.filterwarnings("ignore")

SHORT = preset("mlp-tiny").spec.with_changes("training.epochs=3", "training.threads=1", "name=sunk")
HUGE = 1.7976931348623157e308  # what MLflow's databases keep for an infinity


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(home)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushes and checkpoints follow each other quickly, so that a short run has many."""
    monkeypatch.setattr(loop, "FLUSH_S", 0.01)
    monkeypatch.setattr(loop, "SLOWEST_FLUSH_S", 0.01)
    monkeypatch.setattr(keeping, "SHORTEST_SAVE_S", 0.0)
    monkeypatch.setattr(keeping, "SAVE_SHARE", 1e9)


def session(store: Store, run_id: str, flushes: int | None = None) -> list[str]:
    """What the worker does, up to a `kill -9` after so many flushes (None: to the end). Its warnings."""
    row = store.runs.get(run_id)
    saved = {info.name for info in store.checkpoints.list(run_id)}
    resume = from_bytes(store.checkpoints.read(run_id, "last")) if "last" in saved else None
    store.truncate_after(run_id, resume.step if resume else -1)
    data = catalog.load(store, row.spec.data)
    model = build(row.spec.model, data.shape, seed=row.spec.seed)
    watch = Watcher.over(row.spec.model, row.spec.watch, data, prepare=normalised)
    sinks = Sinks.over(store, store.runs.get(run_id))
    warnings = []
    flushed = loop.fit(
        model, data, task_for(row.spec.task, len(data.classes)), row.spec, resume=resume, watch=watch
    )
    for number, flush in enumerate(flushed):
        odd = Scalars("odd", *(np.full(1, v) for v in (flush.step, 0.5, time.time())), np.array([math.nan]))
        store.flush(run_id, [*flush.records, odd], step=flush.step, epoch=flush.epoch, phase=flush.phase)
        for kept in flush.checkpoints:
            store.checkpoints.write(
                run_id, kept.name, kept.blob, step=kept.step, epoch=kept.epoch, metrics=kept.metrics
            )
        if flushes is not None and number >= flushes:
            if sinks._sinks.get("MLflow"):  # a thread would live on in this process; let it die as one does
                sinks._sinks["MLflow"]._over.set()  # type: ignore[attr-defined]
                sinks._sinks["MLflow"]._thread.join()  # type: ignore[attr-defined]
            return warnings
        warnings += sinks.write(flush)
    return warnings + sinks.close("finished")


def started(store: Store, *changes: str, spec: RunSpec = SHORT) -> str:
    return store.runs.create(spec.with_changes(*changes)).id


# ---------------------------------------------------------------- TensorBoard


def accumulated(store: Store, run_id: str):  # type: ignore[no-untyped-def]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0, "tensors": 0, "images": 0}
    found = EventAccumulator(str(store.run_folder(run_id) / FOLDER), size_guidance=everything)
    return found.Reload()


def agrees_with_tensorboard(store: Store, run_id: str) -> None:
    """Every scalar of the store, step for step, and nothing else."""
    history, found = store.scalars.read(run_id), accumulated(store, run_id)
    assert set(found.Tags()["scalars"]) == set(history)
    assert {"train/loss", "val/loss", "lr", "grad_norm"} <= set(history)
    for key, part in history.items():
        points = found.Scalars(key)
        assert [p.step for p in points] == part.steps.tolist(), key
        assert [p.wall_time for p in points] == part.times.tolist(), key
        with np.errstate(over="ignore"):
            assert np.array([p.value for p in points], "f4").tobytes() == part.values.astype("f4").tobytes()


def test_tensorboard_reads_every_scalar_text_picture_and_hyperparameter(store: Store, hurried: None) -> None:
    run_id = started(store, "watch.tensorboard=true")
    assert session(store, run_id) == []
    agrees_with_tensorboard(store, run_id)
    found = accumulated(store, run_id)
    texts = [e.tensor_proto.string_val[0].decode() for e in found.Tensors("events/best")]
    events = [e for e in store.events.since(run_id)[0] if e.kind == "best"]
    assert texts == [e.text for e in events]
    assert "optimizer" in found.Tensors("spec")[0].tensor_proto.string_val[0].decode()
    assert found.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    tags = found.PluginTagToContent("hparams")
    start = HParamsPluginData.FromString(tags["_hparams_/session_start_info"]).session_start_info
    assert start.hparams["training.optimizer.lr"].number_value == SHORT.training.optimizer.lr
    assert start.hparams["training.optimizer.kind"].string_value == SHORT.training.optimizer.kind
    end = HParamsPluginData.FromString(tags["_hparams_/session_end_info"]).session_end_info
    assert end.status == 1  # STATUS_SUCCESS


@pytest.mark.parametrize("flushes", [0, 1, 3, 7, 12])
def test_a_killed_and_resumed_run_has_every_step_once_in_tensorboard(
    store: Store, hurried: None, flushes: int
) -> None:
    run_id = started(store, "watch.tensorboard=true")
    session(store, run_id, flushes)
    [file] = (store.run_folder(run_id) / FOLDER).iterdir()
    assert file.stat().st_size > 100
    with file.open("ab") as half:
        half.write(b"\x40\0\0\0\0")  # a record that the kill cut off
    session(store, run_id, 2)
    assert session(store, run_id) == []
    agrees_with_tensorboard(store, run_id)
    steps = store.scalars.read(run_id)["train/loss"].steps
    assert (steps == np.arange(1, 3 * 46 + 1)).all(), "else this tests nothing"


def test_a_tensorboard_that_watches_sees_a_resumed_run_without_doubles(store: Store, hurried: None) -> None:
    run_id = started(store, "watch.tensorboard=true")
    session(store, run_id, 6)
    watching = accumulated(store, run_id)
    assert watching.Scalars("train/loss")
    session(store, run_id)
    watching.Reload()
    steps = [p.step for p in watching.Scalars("train/loss")]
    assert steps == list(range(1, 3 * 46 + 1))


def test_tensorboard_s_own_server_shows_a_resumed_run_without_doubles(store: Store, hurried: None) -> None:
    from tensorboard.context import RequestContext
    from tensorboard.data.provider import RunTagFilter
    from tensorboard.data.server_ingester import SubprocessServerDataIngester, get_server_binary
    from tensorboard.util.grpc_util import ChannelCredsType

    run_id = started(store, "watch.tensorboard=true")
    session(store, run_id, 6)
    server = SubprocessServerDataIngester(
        get_server_binary(), str(store.run_folder(run_id) / FOLDER), reload_interval=1,
        channel_creds_type=ChannelCredsType.LOCAL, samples_per_plugin={"scalars": 10_000},
    )  # fmt: skip
    server.start()

    def steps() -> list[int]:
        found = server.data_provider.read_scalars(
            RequestContext(), experiment_id="", plugin_name="scalars", downsample=10_000,
            run_tag_filter=RunTagFilter(tags=["train/loss"]),
        )  # fmt: skip
        return [p.step for run in found.values() for p in run["train/loss"]]

    try:
        until(steps, "the first session")
        session(store, run_id)
        until(lambda: steps() == list(range(1, 3 * 46 + 1)), "every step, once")
    finally:
        server._stdin_handle.close()  # it leaves with its input


def test_filters_become_pictures(store: Store) -> None:
    file = EventFile(store.home / FOLDER)
    pixels = np.zeros((5, 3, 3), np.uint8)
    pixels[4] = 255
    image = mosaic(pixels)
    png = io.BytesIO()
    image.save(png, "PNG")
    file.picture("filters/0", png.getvalue(), image.size, 7, 1e9)
    file.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    [seen] = EventAccumulator(str(store.home / FOLDER)).Reload().Images("filters/0")
    assert (seen.step, seen.width, seen.height) == (7, image.width, image.height)
    back = np.asarray(Image.open(io.BytesIO(seen.encoded_image_string)))
    side = image.width // 11  # 3 tiles of 3 pixels and 2 gaps
    assert (back[5 * side, 5 * side] == 255).all(), "the fifth tile: second row, second column"
    assert (back[0, 0] == 0).all()
    assert (back[0, 3 * side] == 128).all(), "a gap"


def test_a_convolution_s_filters_are_written(store: Store, hurried: None) -> None:
    spec = preset("cnn-mnist").spec.with_changes(
        "data.name=digits", "training.steps=6", "training.threads=1", "watch.tensorboard=true",
        "model.layers=[{kind: conv2d, out_channels: 4, padding: 1}, {kind: flatten},"
        " {kind: linear, out_features: 10}]",
    )  # fmt: skip
    run_id = started(store, spec=spec)
    assert session(store, run_id) == []
    assert accumulated(store, run_id).Images("filters/0")[0].step == 0


def test_a_sink_that_fails_is_turned_off_with_one_warning_and_the_run_goes_on(
    store: Store, hurried: None
) -> None:
    run_id = started(store, "watch.tensorboard=true")
    (store.run_folder(run_id) / FOLDER).write_text("a file where a folder should be")
    [warning] = session(store, run_id)
    assert "TensorBoard is turned off" in warning
    assert "File exists" in warning
    assert store.runs.get(run_id).step == 3 * 46


def test_sinks_are_off_by_default(store: Store, hurried: None) -> None:
    run_id = started(store)
    assert Sinks.over(store, store.runs.get(run_id))._sinks == {}
    assert session(store, run_id) == []
    assert not (store.run_folder(run_id) / FOLDER).exists()


# ---------------------------------------------------------------- MLflow


def client(address: str):  # type: ignore[no-untyped-def]
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=address)


def mlflow_runs(address: str, run_id: str) -> list[object]:
    asking = client(address)
    experiment = asking.get_experiment_by_name(EXPERIMENT)
    return list(asking.search_runs([experiment.experiment_id], f"tags.`{TAG}` = '{run_id}'"))


def agrees_with_mlflow(store: Store, run_id: str, address: str) -> None:
    [run] = mlflow_runs(address, run_id)
    asking, history = client(address), store.scalars.read(run_id)
    assert set(run.data.metrics) == set(history)  # type: ignore[attr-defined]
    for key, part in history.items():
        points = asking.get_metric_history(run.info.run_id, key)  # type: ignore[attr-defined]
        points.sort(key=lambda p: (p.step, p.timestamp))
        assert [p.step for p in points] == part.steps.tolist(), key
        assert [p.timestamp for p in points] == [int(1000 * t) for t in part.times], key
        expected = np.clip(part.values, -HUGE, HUGE)
        assert np.array([p.value for p in points]).tobytes() == expected.tobytes(), key


@pytest.mark.slow
def test_mlflow_reads_every_scalar_event_and_hyperparameter(
    store: Store, hurried: None, address: str
) -> None:
    run_id = started(store, f"watch.mlflow={address}")
    assert session(store, run_id) == []
    agrees_with_mlflow(store, run_id, address)
    [run] = mlflow_runs(address, run_id)
    assert run.info.status == "FINISHED"  # type: ignore[attr-defined]
    assert run.info.run_name == "sunk"  # type: ignore[attr-defined]
    parameters = run.data.params  # type: ignore[attr-defined]
    assert float(parameters["training.optimizer.lr"]) == SHORT.training.optimizer.lr
    assert parameters["data.name"] == "digits"
    assert "Best so far" in run.data.tags["mlflow.note.content"]  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("flushes", [0, 4, 11])
def test_a_killed_and_resumed_run_has_every_step_once_in_one_mlflow_run(
    store: Store, hurried: None, address: str, flushes: int
) -> None:
    run_id = started(store, f"watch.mlflow={address}")
    session(store, run_id, flushes)
    session(store, run_id, 3)
    assert session(store, run_id) == []
    agrees_with_mlflow(store, run_id, address)


@pytest.mark.slow
def test_a_run_resumed_from_before_what_was_sent_gets_a_new_mlflow_run(
    store: Store, hurried: None, address: str
) -> None:
    run_id = started(store, f"watch.mlflow={address}", "training.validate_every=0.05")
    session(store, run_id, 8)
    row = store.runs.get(run_id)
    sinks = Sinks.over(store, row)
    assert sinks.close("failed") == []  # all was sent, the steps after the checkpoint too
    [before] = mlflow_runs(address, run_id)
    saved = next(info.step for info in store.checkpoints.list(run_id) if info.name == "last")
    store.flush(run_id, [Scalars("odd", *(np.full(1, v) for v in (saved + 1, 0.1, 1e9, 1.0)))])
    assert Sinks.over(store, row).close("failed") == []
    assert session(store, run_id) == []
    agrees_with_mlflow(store, run_id, address)
    [after] = mlflow_runs(address, run_id)
    assert after.info.run_id != before.info.run_id  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_dead_mlflow_address_is_told_once_and_the_run_goes_on(
    store: Store, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run_id = started(store, f"watch.mlflow=http://someone:secret@127.0.0.1:{port}")
    began = time.monotonic()
    [warning] = session(store, run_id)
    assert "MLflow is turned off for this session" in warning
    assert "secret" not in warning
    assert store.runs.get(run_id).step == 3 * 46
    assert time.monotonic() - began < 60


def test_without_mlflow_the_warning_says_how_to_install_it(
    store: Store, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # how Python marks a module that is not there
    run_id = started(store, "watch.mlflow=sqlite:///mlflow.db")
    [warning] = session(store, run_id)
    assert "`mlflow-skinny` is not installed" in warning
    assert "pip install mlflow-skinny alembic" in warning


def test_events_that_come_late_are_copied_at_the_end(store: Store, hurried: None) -> None:
    run_id = started(store, "watch.tensorboard=true")
    sinks = Sinks.over(store, store.runs.get(run_id))
    store.events.add(run_id, Event("finished", "Finished at step 0", 0, 0.0, 1e9))
    assert sinks.close("finished") == []
    [seen] = accumulated(store, run_id).Tensors("events/finished")
    assert seen.tensor_proto.string_val[0] == b"Finished at step 0"


# ---------------------------------------------------------------- the real thing


@pytest.mark.slow
def test_a_run_process_killed_twice_has_every_scalar_in_both_sinks(tmp_path: Path, address: str) -> None:
    spec = SHORT.with_changes("training.epochs=250", "watch.tensorboard=true", f"watch.mlflow={address}")
    with living_home(tmp_path / "home") as store:
        run_id = jobs.submit(store, spec)
        for _ in range(2):
            step = store.runs.get(run_id).step
            until(lambda step=step: store.runs.get(run_id).step > step + 1000, "some way")  # type: ignore[misc]
            os.kill(store.runs.get(run_id).pid or 0, signal.SIGKILL)
            until(lambda: store.runs.get(run_id).error, "the exit record")
            jobs.resume(store, run_id)
        until(lambda: store.runs.get(run_id).state is RunState.FINISHED, "its end")
        events = store.events.since(run_id)[0]
        assert [event.text for event in events if event.kind == "warning"] == []
        assert [event.kind for event in events].count("lost") == 2
        agrees_with_tensorboard(store, run_id)
        agrees_with_mlflow(store, run_id, address)
