"""The warm process that answers: predictions, evaluations and summaries without torch in the asker."""

from __future__ import annotations

import base64
import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.processes import living_home, until
from workbench import catalog
from workbench.data.dataset import Dataset
from workbench.jobs import runs as jobs
from workbench.jobs import wire
from workbench.jobs.answers import ask
from workbench.jobs.hardest import KINDS, hardest
from workbench.specs.errors import DataError, RunError, SpecError, StoreError, WorkbenchError
from workbench.specs.presets import preset
from workbench.store import Store

pytestmark = pytest.mark.slow

SPEC = preset("cnn-digits").spec.with_changes("training.epochs=3", "training.threads=1")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with living_home(tmp_path_factory.mktemp("answers") / "home") as store:
        yield store


@pytest.fixture(scope="module")
def run_id(store: Store) -> str:
    """A run that has learnt something."""
    run_id = jobs.submit(store, SPEC)
    until(lambda: store.runs.get(run_id).state.is_over, "the run over")
    assert store.runs.get(run_id).state == "finished"
    return run_id


@pytest.fixture(scope="module")
def digits(store: Store) -> Dataset:
    return catalog.load(store, SPEC.data)


def file(pixels: np.ndarray, kind: str = "PNG", mode: str = "L") -> str:
    """Pixels (H, W) as an image file in base64."""
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


def test_most_test_images_are_told_right(store: Store, run_id: str, digits: Dataset) -> None:
    images = [{"name": f"{i}.png", "content": file(x[0])} for i, x in enumerate(digits.test.x[:40])]
    found = ask(store, "predict", {"run": run_id, "images": images})
    truth = [digits.classes[k] for k in digits.test.y[:40]]
    assert sum(a["prediction"] == t for a, t in zip(found, truth, strict=True)) >= 30
    for answer in found:
        assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
        assert answer["prediction"] == next(iter(answer["probabilities"])), "most likely first"


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("BMP", "RGB"), ("GIF", "P"), ("TIFF", "L")])
def test_the_file_format_does_not_change_the_answer(
    store: Store, run_id: str, digits: Dataset, kind: str, mode: str
) -> None:
    pixels = digits.test.x[0][0]
    images = [
        {"name": "plain.png", "content": file(pixels)},
        {"name": f"other.{kind.lower()}", "content": file(pixels, kind, mode)},
    ]
    plain, other = ask(store, "predict", {"run": run_id, "images": images})
    assert other["probabilities"] == pytest.approx(plain["probabilities"], abs=1e-6)


def test_the_picture_the_model_saw_comes_back(store: Store, run_id: str, digits: Dataset) -> None:
    large = np.kron(digits.test.x[0][0], np.ones((5, 5), np.uint8))
    (answer,) = ask(store, "predict", {"run": run_id, "images": [{"name": "x", "content": file(large)}]})
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["image"]))))
    assert seen.shape == (8, 8)


def test_a_file_that_is_no_picture_is_named(store: Store, run_id: str) -> None:
    images = [{"name": "notes.txt", "content": base64.b64encode(b"hello").decode()}]
    with pytest.raises(DataError, match=r"notes\.txt: a picture must be readable"):
        ask(store, "predict", {"run": run_id, "images": images})


def test_the_evaluation_is_that_of_the_test_split(store: Store, run_id: str, digits: Dataset) -> None:
    found = ask(store, "evaluate", {"run": run_id, "checkpoint": "last"})
    matrix = np.array(found["confusion"])
    assert matrix.sum() == found["images"] == len(digits.test)
    assert (matrix.sum(axis=1) == np.bincount(digits.test.y, minlength=10)).all(), "rows are true classes"
    assert found["metrics"]["accuracy"] == pytest.approx(np.trace(matrix) / matrix.sum())


def test_the_hardest_samples_come_over_the_socket(store: Store, run_id: str, digits: Dataset) -> None:
    """Slice by slice, with a share that grows; each is a sample of the split with its own label."""
    shares: list[float] = []
    found = hardest(store, run_id, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    losses = [line["loss"] for line in found["hardest"]]
    assert losses == sorted(losses, reverse=True)
    rows = dict(zip(digits.validation.index.tolist(), digits.validation.y.tolist(), strict=True))
    assert all(rows[line["row"]] == line["label"] for kind in KINDS for line in found[kind])
    assert found["judged"] == found["of"] == len(rows)
    assert hardest(store, run_id) == found
    with pytest.raises(RunError, match="it is one of validation, test, train"):
        hardest(store, run_id, "nowhere")


def test_a_checkpoint_is_found_by_its_step(store: Store, run_id: str) -> None:
    last = next(info for info in store.checkpoints.list(run_id) if info.name == "last")
    assert ask(store, "evaluate", {"run": run_id, "checkpoint": str(last.step)})["step"] == last.step
    with pytest.raises(RunError, match=r"`77777` does not\. It has: "):
        ask(store, "evaluate", {"run": run_id, "checkpoint": "77777"})


def test_the_summary_is_torchinfo_s_and_agrees_with_ours(store: Store) -> None:
    spec = preset("cnn-mnist").spec
    found = ask(store, "summary", {"spec": spec.model_dump(mode="json")})
    assert found["parameters"] == 225_034
    assert found["mult_adds"] == sum(row.mult_adds for row in spec.model.rows((1, 28, 28)))
    assert "Conv2d" in found["text"]


def test_errors_come_back_as_they_were_raised(store: Store, run_id: str) -> None:
    with pytest.raises(RunError, match="the run must exist"):
        ask(store, "predict", {"run": "nobody", "images": []})
    with pytest.raises(SpecError, match="only known names may appear"):
        ask(store, "summary", {"spec": {"nonsense": 1}})
    with pytest.raises(WorkbenchError, match="`sing` is none of them"):
        ask(store, "sing", {})
    with pytest.raises(WorkbenchError, match="KeyError"):
        ask(store, "predict", {})


def test_nobody_else_may_use_the_socket(store: Store) -> None:
    ask(store, "ping", {})
    assert stat.S_IMODE((store.home / wire.NAME).stat().st_mode) == 0o600


def test_a_killed_answering_process_is_started_again(store: Store) -> None:
    first = ask(store, "ping", {})["pid"]
    os.kill(first, signal.SIGKILL)
    assert until(lambda: ask(store, "ping", {}, 60.0)["pid"] != first, "another process")


def test_silence_is_an_error_in_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = ask(store, "ping", {})["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match=r"`ping` took longer than 0\.5 s"):
            ask(store, "ping", {}, timeout_s=0.5)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_asking_side_needs_no_torch() -> None:
    rooms = "answers, check, handle, launch, runs"
    code = f"import sys; from workbench.jobs import {rooms}; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
