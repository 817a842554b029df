"""Runs that begin with imported weights: taken, kept beside the run, and resumed bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.cli.test_for_real import Shell
from tests.processes import living_home, until
from workbench.cli.main import run as command
from workbench.engine.checkpoint import equal, from_bytes, model_tensors
from workbench.models.build import build
from workbench.specs.presets import preset
from workbench.specs.run import RunSpec

pytestmark = pytest.mark.slow

SPEC = preset("mlp-tiny").spec.with_changes("training.steps=6", "training.threads=1", "name=begun")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with living_home(tmp_path_factory.mktemp("importing") / "home") as store:
        yield Shell(store)


@pytest.fixture
def say(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process, which has torch already: code, standard output, standard error."""
    monkeypatch.setenv("WORKBENCH_HOME", str(shell.store.home))

    def said(*arguments: str) -> tuple[int, str, str]:
        code = command(arguments)
        return code, *capsys.readouterr()

    return said


def written(spec: RunSpec, path: Path) -> str:
    path.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    return str(path)


def test_a_run_begins_with_imported_weights_and_keeps_them(shell: Shell, tmp_path: Path) -> None:
    state = build(SPEC.model, (1, 8, 8), seed=99).state_dict()
    renamed = {f"net.layer{i}.{n.rpartition('.')[2]}": v for i, (n, v) in enumerate(state.items())}
    torch.save(renamed, tmp_path / "their net.pt")
    spec = written(SPEC, tmp_path / "spec.yaml")
    found = shell("import", str(tmp_path / "their net.pt"), "--spec", spec, "--json")
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    assert (report["name"], report["ok"], report["taken"]) == ("their-net", True, report["parameters"])
    assert {line["what"] for line in report["lines"]} == {"renamed"}
    begin = ("--set", "training.start_weights=their-net")
    still = ("--set", "training.optimizer.lr=1e-12", "--set", "training.steps=1")
    run = shell("train", spec, *begin, *still).stdout.split()[0]
    kept = model_tensors(shell.store.checkpoints.read(run, "last"))
    assert all(torch.allclose(kept[name], state[name], atol=1e-6) for name in state)
    events = [event.text for event in shell.store.events.since(run)[0]]
    assert any("taken from the imported their-net" in text for text in events), events

    # A run keeps its own copy: others under that name, or none at all, change nothing for it.
    whole = shell("train", spec, *begin).stdout.split()[0]
    straight = from_bytes(shell.store.checkpoints.read(whole, "last"))
    save_file({n: torch.zeros_like(v) for n, v in state.items()}, tmp_path / "their-net.safetensors")
    again = shell("import", str(tmp_path / "their-net.safetensors"), "--spec", spec)
    assert "all zero" in again.stderr
    child = shell("fork", whole).stdout.strip()
    until(lambda: shell.store.runs.get(child).state.is_over, "the fork is over")
    assert equal(from_bytes(shell.store.checkpoints.read(child, "last")), straight)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(shell: Shell, tmp_path: Path) -> None:
    state = build(SPEC.model, (1, 8, 8), seed=5).state_dict()
    save_file(dict(state), tmp_path / "five.safetensors")
    spec = written(
        SPEC.with_changes("training.steps=400", "training.start_weights=five"), tmp_path / "s.yaml"
    )
    assert shell("import", str(tmp_path / "five.safetensors"), "--spec", spec).returncode == 0
    straight = shell("train", spec).stdout.split()[0]
    run = shell("train", spec, "--detach").stdout.strip()
    until(lambda: shell.store.runs.get(run).step > 5 or shell.store.runs.get(run).state.is_over, "some steps")
    shell("stop", run)
    until(lambda: shell.store.runs.get(run).state.is_over, "it stopped")
    if shell.store.runs.get(run).state == "stopped":
        shell("resume", run)
        until(lambda: shell.store.runs.get(run).state == "finished", "it finished")
    ends = [from_bytes(shell.store.checkpoints.read(one, "last")) for one in (run, straight)]
    assert equal(*ends)


def test_what_is_wrong_is_said_in_one_line(
    shell: Shell, say: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    spec = written(SPEC, tmp_path / "spec.yaml")
    missing = shell("train", spec, "--set", "training.start_weights=nobody")
    assert missing.returncode == 2
    assert "training.start_weights: weights to begin with must have been imported" in missing.stderr
    (tmp_path / "bad.pt").write_bytes(b"no weights")
    process = shell("import", str(tmp_path / "bad.pt"), "--spec", spec)
    here = [
        say("import", str(tmp_path / path), "--spec", spec) for path in ("bad.pt", "none.pt", "spec.yaml")
    ]
    assert (process.returncode, process.stdout, process.stderr) == here[0]
    for code, _, err in here:
        assert code == 2
        assert err.startswith("error: "), err
        assert "Traceback" not in err
    torch.save({"w": torch.ones(3, 7)}, tmp_path / "other.pt")
    assert "none does" in say("import", str(tmp_path / "other.pt"), "--spec", spec)[2]
    save_file({"1.weight": torch.ones(56, 64)}, tmp_path / "part.safetensors")
    _, dry, _ = say("import", str(tmp_path / "part.safetensors"), "--spec", spec, "--dry-run", "--json")
    report = json.loads(dry)
    assert not report["ok"]
    assert report["counts"]["matched"] == 1
    assert report["counts"]["missing"] == 5
    assert "part" not in shell.store.weights.names()
    assert load_file(tmp_path / "part.safetensors")
