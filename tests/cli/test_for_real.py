"""The command as a person types it, in processes of its own, on a fresh home."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.processes import living_home, until
from workbench import catalog
from workbench.specs.data import DataSpec
from workbench.specs.presets import preset
from workbench.store import Store

pytestmark = pytest.mark.slow
# Processor seconds of a verb that needs no torch: 0.3 (--help) to 0.7 (runs) on an idle machine, more beside
# others. Torch alone takes 2.5.
QUICK_S = 1.5


class Shell:
    """`workbench …` with the home of a test."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.environment = {**os.environ, "WORKBENCH_HOME": str(store.home)}

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        found = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in found.stderr
        return found

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command at work; ended with the block, whatever became of the test."""
        process = subprocess.Popen(
            self.command(*arguments), env=self.environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # A shell starts background jobs with Ctrl-C ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "workbench.cli.main", *arguments]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with living_home(tmp_path_factory.mktemp("cli") / "home") as store:
        yield Shell(store)


@pytest.fixture(scope="module")
def trained(shell: Shell) -> str:
    """The id of a finished run, as `train` printed it."""
    spec = preset("cnn-digits").spec.with_changes("training.epochs=2", "training.threads=1").to_yaml()
    found = shell("train", "-", "--name", "first", stdin=spec)
    assert found.returncode == 0, found.stderr
    assert "finished at step 92 of 92" in found.stderr
    return found.stdout.splitlines()[0]


def test_a_run_is_trained_from_standard_input_to_its_end(shell: Shell, trained: str) -> None:
    row = json.loads(shell("show", trained, "--json").stdout)
    assert (row["state"], row["step"], row["name"], row["error"]) == ("finished", 92, "first", None)


def test_the_model_is_evaluated_and_asked(shell: Shell, trained: str, tmp_path: Path) -> None:
    found = json.loads(shell("evaluate", trained, "--json").stdout)
    assert {"metrics", "confusion"} <= found.keys()
    assert np.array(found["confusion"]).shape == (10, 10)
    digits = catalog.load(shell.store, DataSpec(name="digits"))
    paths = []
    for i in range(3):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(digits.test.x[i][0]).save(paths[-1])
    answers = json.loads(shell("predict", trained, *paths, "--json").stdout)
    assert [answer["input"] for answer in answers] == paths
    assert all(set(answer) == {"input", "prediction", "probabilities"} for answer in answers)
    assert "0.png: " in shell("predict", trained, paths[0]).stdout


def test_a_model_is_asked_without_a_supervisor_too(shell: Shell, trained: str, tmp_path: Path) -> None:
    with_one = shell("evaluate", trained, "--json").stdout
    code = f"""
import sys
from workbench.jobs import launch
launch.supervisor = lambda store: None
from workbench.cli.main import run
sys.exit(run(["evaluate", {trained!r}, "--json"]))
"""
    found = subprocess.run(
        [sys.executable, "-c", code], env=shell.environment, capture_output=True, text=True, timeout=120
    )
    assert json.loads(found.stdout)["confusion"] == json.loads(with_one)["confusion"]


def test_other_data_must_have_the_same_classes(shell: Shell, trained: str, tmp_path: Path) -> None:
    for name, grey in (("0", 10), ("1", 200)):
        for i in range(3):
            path = tmp_path / "more" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((20, 20), grey, np.uint8)).save(path)
    found = shell("evaluate", trained, "--data", str(tmp_path / "more"), "--json")
    assert np.array(json.loads(found.stdout)["confusion"]).sum() == 6
    (tmp_path / "more" / "1").rename(tmp_path / "more" / "one")
    found = shell("evaluate", trained, "--data", str(tmp_path / "more"))
    assert found.returncode == 2
    assert "every class must be one the model knows" in found.stderr


def test_ctrl_c_while_waiting_leaves_the_run_alone_and_says_how_to_stop_it(shell: Shell) -> None:
    with shell.started("train", "mlp-tiny", "--set", "training.epochs=5000") as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        until(lambda: shell.store.runs.get(run_id).step > 0, "the first step")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"workbench stop {run_id}" in err
    assert shell.store.runs.get(run_id).state == "running"
    assert "is paused" in shell("pause", run_id).stdout
    assert "is running" in shell("resume", run_id).stdout
    assert "is stopped" in shell("stop", run_id).stdout
    assert shell("log", run_id, "-f").stdout.rstrip().splitlines()[-1].count("Stopped") == 1


def test_a_run_that_fails_says_so_with_the_line_that_matters_and_goes_on_once_it_is_mended(
    shell: Shell,
) -> None:
    # Its data is damaged while it waits: past every check, and broken when it is read.
    run_id = shell("train", "mlp-tiny", "--name", "broken", "--hold").stdout.strip()
    row = shell.store.datasets.get("digits")
    images = row.path / "images.npy"
    whole = images.read_bytes()
    try:
        images.write_bytes(whole[:100])
        found = shell("train", "mlp-tiny", "--name", "refused")
        assert (found.returncode, found.stdout) == (2, ""), "a new one is refused"
        assert "a prepared set needs images.npy" in found.stderr
        shell("release", run_id)
        until(lambda: shell.store.runs.get(run_id).state == "failed", "the failure")
    finally:
        images.write_bytes(whole)
    said = shell("log", run_id, "--errors").stdout.splitlines()
    assert "a prepared set needs images.npy" in said[0]
    assert said[1].startswith("at workbench/data/")
    assert any(line.startswith("Traceback") for line in said)
    assert "run" in shell("log", run_id, "--tail", "1", "--search", run_id).stdout
    shell("resume", run_id)
    until(lambda: shell.store.runs.get(run_id).state == "finished", "its end")


def test_what_needs_no_torch_does_not_wait_for_it(shell: Shell) -> None:
    for arguments in (["--help"], ["runs"], ["presets"]):
        best = 9.0
        for _ in range(5):
            before = os.times()
            assert shell(*arguments).returncode == 0
            after = os.times()
            spent = after.children_user + after.children_system
            best = min(best, spent - before.children_user - before.children_system)
            if best < QUICK_S:
                break
        assert best < QUICK_S, arguments
    code = (
        "import sys; from workbench.cli.main import run\n"
        "run(['runs']); run(['presets']); run(['check', 'mlp-tiny'])\n"
        "assert 'torch' not in sys.modules and 'streamlit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env=shell.environment, check=True, capture_output=True)


def test_the_app_stops_at_ctrl_c_and_names_the_trainings_that_go_on(shell: Shell) -> None:
    run_id = shell("train", "mlp-tiny", "--set", "training.epochs=5000", "--detach").stdout.strip()
    until(lambda: shell.store.runs.get(run_id).step > 0, "the first step")
    with shell.started("up", "--port", "0") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("The workbench is at http://localhost:")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "1 training goes on in the background: mlp-tiny" in err
    assert shell.store.runs.get(run_id).state == "running"
    shell("stop", run_id)
