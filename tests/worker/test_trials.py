"""Trials before a run: real children of the warm process, their answers, their ends."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.processes import answering_home, at_its_quickest, until
from workbench.jobs import trials
from workbench.jobs.answers import ask
from workbench.specs.errors import RunError, SpecError, WorkbenchError
from workbench.specs.presets import preset
from workbench.store import Store

pytestmark = pytest.mark.slow
LONG = preset("resnet-20").spec.with_changes("training.batch_size=512")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with answering_home(tmp_path_factory.mktemp("trials") / "home") as opened:
        yield opened


def children(store: Store) -> list[psutil.Process]:
    """The trials at work: grandchildren of the answering process."""
    return psutil.Process(ask(store, "ping", {})["pid"]).children()[0].children()


def test_a_preflight_answers_within_seconds_and_says_all_that_is_promised(store: Store) -> None:
    trials.result(store, "preflight", preset("mlp-tiny").spec)  # the data is prepared at its first use
    shares: list[float] = []
    found: dict[str, Any] = {}

    def seconds() -> float:
        shares.clear()
        began = time.monotonic()
        spec = preset("cnn-digits").spec
        found.update(trials.result(store, "preflight", spec, lambda _, share: shares.append(share)))
        return time.monotonic() - began

    assert at_its_quickest(seconds, 10) < 10, "3 s on a machine of one's own"
    assert shares == sorted(shares)
    assert found["eta_s"] > 0
    assert found["memory"]["total"] == pytest.approx(found["predicted"]["total"], rel=0.15)
    assert found["bottleneck"] in ("data", "model")
    assert found["largest_is_all"]
    assert until(lambda: not children(store), "its process is gone")


def test_what_cannot_fit_is_refused_with_what_would(store: Store) -> None:
    spec = preset("cnn-mnist").spec.with_changes(
        "training.batch_size=9000", "data.size=512", "training.device=cpu"
    )
    rule = r"batch 9,000 needs [\d.]+ GB.*Batch \d+ fits, or accumulation_steps \d+"

    def seconds() -> float:
        began = time.monotonic()
        with pytest.raises(SpecError, match=rule):
            trials.result(store, "preflight", spec)
        return time.monotonic() - began

    assert at_its_quickest(seconds, 10) < 10


def test_a_trial_is_stopped_at_once(store: Store) -> None:
    found = trials.begin(store, "range_test", LONG, again=True)
    until(lambda: children(store), "its process")
    trials.stop(store, found["id"])
    assert trials.look(store, found["id"])["state"] == "stopped"
    until(lambda: not children(store), "its process is gone")


def test_a_trial_that_is_killed_fails_and_hurts_nobody(store: Store) -> None:
    answering = ask(store, "ping", {})["pid"]
    found = trials.begin(store, "range_test", LONG, again=True)
    (victim,) = until(lambda: children(store), "its process")
    os.kill(victim.pid, signal.SIGKILL)
    ended: dict[str, Any] = until(
        lambda: (now := trials.look(store, found["id"]))["state"] != "running" and now, "it is noticed"
    )
    assert ended["state"] == "failed"
    assert "ended without a word" in ended["problems"][0]["fact"]
    assert ask(store, "ping", {})["pid"] == answering


def test_the_same_question_finds_the_trial_that_is_under_way(store: Store) -> None:
    first = trials.begin(store, "range_test", LONG)
    second = trials.begin(store, "range_test", LONG)
    assert first["id"] == second["id"]
    assert len(until(lambda: children(store), "its process")) == 1
    trials.stop(store, first["id"])


def test_a_faulty_spec_is_refused_with_its_problem(store: Store) -> None:
    with pytest.raises(SpecError, match="conv2d"):
        trials.result(
            store, "preflight", preset("cnn-digits").spec.with_changes("model.layers.0.kernel_size=31")
        )


def test_a_trial_nobody_knows_is_said_so(store: Store) -> None:
    with pytest.raises(RunError, match="Start it again"):
        trials.look(store, "nonsense")


def test_the_nursery_leaves_with_the_answering_process(store: Store) -> None:
    pid = ask(store, "ping", {})["pid"]
    (nursery,) = psutil.Process(pid).children()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not nursery.is_running() or nursery.status() == psutil.STATUS_ZOMBIE, "the nursery is gone")
    assert until(lambda: ask(store, "ping", {}, 60.0)["pid"] != pid, "another one")


def test_a_nursery_that_is_killed_comes_back_with_a_fresh_answering_process(store: Store) -> None:
    pid = until(lambda: ask(store, "ping", {}, 60.0)["pid"], "an answering process")
    (nursery,) = psutil.Process(pid).children()
    os.kill(nursery.pid, signal.SIGKILL)
    until(lambda: _answering(store) not in (0, pid), "another one")
    found = trials.begin(store, "range_test", LONG, again=True)
    until(lambda: children(store), "its process")
    trials.stop(store, found["id"])


def _answering(store: Store) -> int:
    with contextlib.suppress(WorkbenchError):
        return int(ask(store, "ping", {}, 5.0)["pid"])
    return 0


def test_the_home_is_the_childs_too(store: Store, tmp_path: Path) -> None:
    assert not (tmp_path / "workbench.db").exists()
    trials.result(store, "range_test", preset("mlp-tiny").spec)
    assert store.runs.list() == [], "a trial is no run"
