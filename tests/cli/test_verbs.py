"""The command line's verbs, in this process: exit codes, JSON as the contract says, one-line errors."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from tests.cli.conftest import Said
from workbench.cli.main import run
from workbench.jobs import runs as jobs
from workbench.records import Event, Scalars
from workbench.specs.presets import PRESETS, preset
from workbench.specs.run import parse
from workbench.store import Store
from workbench.store.states import HOST


def facts(said: tuple[int, str, str]) -> Any:
    assert said[0] == 0, said[2]
    return json.loads(said[1])


@pytest.fixture
def run_id(store: Store) -> str:
    """A run at work in this process, with three steps behind it."""
    run_id = jobs.submit(store, preset("mlp-tiny").spec)
    store.runs.claim(run_id, os.getpid(), psutil.Process().create_time(), HOST)
    steps = np.arange(1, 4)
    loss = Scalars("train/loss", steps, steps / 46, 1e9 + steps, np.array([2.0, np.nan, 1.0]))
    event = Event("started", "Started on cpu", 0, 0.0, 1e9)
    progress = {"step": 3, "epoch": 3 / 46, "total_steps": 920, "phase": "running", "device": "cpu"}
    store.flush(run_id, [loss, event], **progress)
    return run_id


# ---------------------------------------------------------------- specs


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_printed_is_a_spec_that_reads_back(say: Said, name: str) -> None:
    code, out, _ = say("presets", name)
    assert code == 0
    assert parse(out) == PRESETS[name].spec
    assert parse(say("presets", name, "--json")[1]) == PRESETS[name].spec


def test_presets_are_listed(say: Said) -> None:
    assert [item["name"] for item in facts(say("presets", "--json"))] == list(PRESETS)
    assert "cnn-mnist" in say("presets")[1]


def test_a_check_prints_the_contract(say: Said, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(preset("cnn-mnist").spec.to_yaml())
    report = facts(say("check", str(path), "--json"))
    assert report["ok"] is True
    assert report["parameters"] == 225_034
    assert report["layers"][-1]["out_shape"] == [10]
    assert "225,034 parameters" in say("check", "cnn-mnist")[1]


def test_a_check_of_what_cannot_work_exits_2_and_locates_it(say: Said) -> None:
    code, out, err = say("check", "cnn-mnist", "--set", "model.layers.9.out_features=7")
    assert code == 2
    assert err == (
        "error: layer 9 (linear): the last layer must give one score per class (10), but it gives 7. "
        "Set out_features of the last linear layer to 10.\n"
    )
    code, out, _ = say("check", "cnn-mnist", "--set", "model.layers.9.out_features=7", "--json")
    assert code == 2
    assert json.loads(out)["problems"][0]["severity"] == "error"


def test_a_spec_comes_from_standard_input(say: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(preset("cnn-compact").spec.to_yaml()))
    assert facts(say("check", "-", "--json"))["parameters"] == 34_826


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["train", "nothere.yaml"], "there is no such file"),
        (["train", "cnn-mnits"], "Did you mean `cnn-mnist`?"),
        (["train", "cnn-mnist", "--set", "training.batchsize=3"], "training.batchsize: only known names"),
        (["train", "cnn-mnist", "--set", "training.batch_size=0"], "training.batch_size"),
        (["train", "cnn-mnist", "--set", "nonsense"], "a change must read path=value"),
        (["train", "cnn-mnist", "--set", "data.name=nowhere"], "data set `nowhere`"),
        (["show", "nobody"], "no id or name matches"),
        (["stop", "nobody"], "no id or name matches"),
        (["data", "show", "nobody"], "data set `nobody`"),
        (["data", "add", "/no/such/folder"], "/no/such/folder"),
        (["presets", "cnn-digts"], "Did you mean `cnn-digits`?"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["train"], "Missing argument"),
        (["runs", "--limit", "many"], "--limit"),
        (["up", "--host", "0.0.0.0", "--port", "0"], "must not be reachable from other machines"),
    ],
)  # fmt: skip
def test_bad_input_exits_2_with_the_reason_on_one_line(say: Said, arguments: list[str], reason: str) -> None:
    code, out, err = say(*arguments)
    assert code == 2
    assert out == ""
    assert reason in err
    assert len(err.splitlines()[0]) > len("error: ")
    assert err.startswith("error: ")


def test_broken_yaml_is_located(say: Said, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("name: x\nmodel: [1, 2\n")
    code, _, err = say("train", str(path))
    assert code == 2
    assert "spec.yaml, line 3" in err


def test_every_problem_of_a_spec_is_said_at_once(say: Said, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("seed: -1\ntraining: {batch_size: 0}\n")
    _, _, err = say("check", str(path))
    assert [line.split(":")[1].strip() for line in err.splitlines()] == ["seed", "training.batch_size"]


# ---------------------------------------------------------------- runs


def test_train_detached_prints_the_id_and_returns(say: Said, store: Store) -> None:
    code, out, _ = say("train", "mlp-tiny", "--detach", "--name", "mine: 1", "--set", "seed=5")
    row = store.runs.get(out.strip())
    assert (code, row.name, row.spec.seed, row.state) == (0, "mine: 1", 5, "queued")


def test_show_prints_the_contract(say: Said, run_id: str) -> None:
    found = facts(say("show", run_id, "--json"))
    assert list(found) == [
        "id", "name", "state", "pid", "step", "epoch", "device", "spec", "metrics", "telemetry_share",
        "error", "parked", "held", "slot", "peak_bytes", "silent_s",
    ]  # fmt: skip
    assert found["state"] == "running"
    assert found["metrics"]["train/loss"] == {"last": 1.0, "best": 1.0, "best_step": 3}
    assert found["spec"]["training"]["batch_size"] == 32
    assert "train/loss" in say("show", run_id)[1]


def test_runs_is_a_list_of_the_same_without_the_spec(say: Said, run_id: str) -> None:
    (found,) = facts(say("runs", "--json"))
    whole = facts(say("show", "mlp-tiny", "--json"))
    whole.pop("spec")
    found.pop("silent_s")  # grows between the two calls
    whole.pop("silent_s")
    assert found == whole
    assert run_id in say("runs")[1]


def test_metrics_come_as_csv_with_nan_as_nan(say: Said, run_id: str) -> None:
    code, out, _ = say("metrics", run_id, "train/loss")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "key,step,epoch,wall_time,value"
    assert [line.split(",")[-1] for line in lines[1:]] == ["2.0", "nan", "1.0"]
    assert [line.split(",")[1] for line in lines[1:]] == ["1", "2", "3"]


def test_metrics_come_as_json_and_parquet(say: Said, run_id: str, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    assert [row["value"] for row in facts(say("metrics", run_id, "--format", "json"))] == [2.0, "NaN", 1.0]
    path = tmp_path / "m.parquet"
    assert say("metrics", run_id, "--format", "parquet", "-o", str(path))[0] == 0
    table = pq.read_table(path)
    assert table.column_names == ["key", "step", "epoch", "wall_time", "value"]
    assert table["step"].to_pylist() == [1, 2, 3]


def test_an_unknown_metric_or_format_is_refused(say: Said, run_id: str) -> None:
    assert "Did you mean `train/loss`?" in say("metrics", run_id, "train/los")[2]
    assert say("metrics", run_id, "--format", "xml")[0] == 2


def test_the_log_is_printed_whole(say: Said, store: Store, run_id: str) -> None:
    store.log_path(run_id).write_bytes(b"one\ntwo\n")
    code, out, _ = say("log", run_id)
    assert code == 0
    assert out == "one\ntwo\n"


def test_a_run_is_renamed_and_deleted_when_over(say: Said, store: Store, run_id: str) -> None:
    assert say("rename", run_id, "other")[0] == 0
    code, _, err = say("delete", "other", "--yes")
    assert code == 2
    assert "only an ended run can be deleted" in err
    store.runs.exit(run_id, "stopped")
    assert say("delete", "other", "--yes")[0] == 0
    assert facts(say("runs", "--json")) == []


def test_a_fork_prints_its_id(say: Said, store: Store, run_id: str) -> None:
    code, out, _ = say("fork", run_id, "--set", "training.epochs=1")
    assert code == 0
    assert store.runs.get(out.strip()).parent == run_id


def test_a_queued_run_is_stopped(say: Said, store: Store) -> None:
    waiting = jobs.submit(store, preset("mlp-tiny").spec.with_changes("name=waiting"))
    assert facts(say("stop", "waiting", "--json"))["id"] == waiting
    assert facts(say("show", waiting, "--json"))["state"] == "stopped"


def test_a_model_without_a_checkpoint_is_said(say: Said, run_id: str, tmp_path: Path) -> None:
    assert say("predict", run_id, str(tmp_path / "none.png"))[0] == 2


def test_what_was_mended_in_rows_is_told_beside_their_answers(
    say: Said, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.cli import model

    (tmp_path / "rows.csv").write_text("a\n1\n")
    answers = [{"input": f"row {k}", "prediction": 2.0, "repairs": ["column `b`: missing"]} for k in (1, 2)]
    monkeypatch.setattr(model, "answer", lambda *_, **__: answers)
    assert json.loads(say("predict", run_id, str(tmp_path / "rows.csv"), "--json")[1]) == answers
    said = say("predict", run_id, str(tmp_path / "rows.csv"))[1]
    assert said == "repaired: column `b`: missing\nrow 1: 2\nrow 2: 2\n"


# ---------------------------------------------------------------- data and the house


def test_shipped_data_is_listed_and_shown(say: Said) -> None:
    assert {"digits", "fashion-mnist-sample"} <= {
        item["name"] for item in facts(say("data", "list", "--json"))
    }
    found = facts(say("data", "show", "digits", "--json"))
    assert (found["rows"], found["kind"], found["task"]) == (1_797, "images", "classification")
    assert {"name", "kind", "task", "rows", "classes", "splits", "schema", "report"} <= set(found)
    assert "1,797 images" in say("data", "show", "digits")[1]


def test_a_folder_of_class_folders_becomes_a_data_set(say: Said, tmp_path: Path) -> None:
    from PIL import Image

    for name, grey in (("dark", 10), ("light", 240)):
        for i in range(6):
            path = tmp_path / "pictures" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((9, 9), grey + i, np.uint8)).save(path)
    (tmp_path / "pictures" / "dark" / "notes.txt").write_text("no picture")
    found = facts(say("data", "add", str(tmp_path / "pictures"), "--name", "shades", "--json"))
    assert (found["name"], found["rows"], found["classes"]) == ("shades", 12, ["dark", "light"])
    assert any(line["action"] == "refused" and "notes.txt" in line["file"] for line in found["report"])
    assert say("data", "rename", "shades", "greys")[0] == 0
    assert say("data", "delete", "greys", "--yes")[0] == 0
    assert say("data", "delete", "digits", "--yes")[0] == 2, "what comes with the program stays"


def test_the_doctor_names_what_it_found(say: Said) -> None:
    found = facts(say("doctor", "--json"))
    assert {"Python", "torch", "store", "disk", "GPU", "supervisor"} <= {item["check"] for item in found}


def test_a_home_that_cannot_be_is_the_machine_s_fault_and_exits_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "file"))
    assert run(["runs"]) == 1
    assert "the home folder must be creatable" in capsys.readouterr().err


def test_the_unexpected_is_one_line_and_the_traceback_goes_to_a_file(
    say: Said, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.cli import terminal

    def broken() -> Store:
        raise ZeroDivisionError("by hand")

    monkeypatch.setattr("workbench.cli.runs.the_store", broken)
    assert terminal.the_store is not broken
    code, _, err = say("runs")
    assert code == 1
    assert "something unexpected happened (ZeroDivisionError: by hand)" in err
    assert "Traceback" in (store.home / "cli.log").read_text()


def test_yaml_of_a_preset_is_plain(say: Said) -> None:
    tree = yaml.safe_load(say("presets", "cnn-mnist")[1])
    assert list(tree) == ["version", "name", "seed", "data", "model", "task", "training", "watch"]
