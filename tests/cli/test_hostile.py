"""What a terminal can throw at the command line: the right exit code, one line, never a traceback."""

from __future__ import annotations

import json
import os
import sqlite3

import pytest

from tests.cli.conftest import Said
from workbench.cli import steer as verbs
from workbench.specs.presets import preset
from workbench.store import Store
from workbench.store.states import HOST, started_at

SPEC = preset("mlp-tiny").spec


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "\udcff"], ["data", "show", "\udcff"], ["rename", "named", "\udcff"],
        ["train", "mlp-tiny", "--name", "\udcff"], ["show", "a\nb\x1b[31m"], ["show", "x" * 300],
        ["check", "x" * 300], ["check", "a\nb"], ["data", "add", "x" * 300], ["data", "add", ""],
        ["evaluate", "named", "--data", "x" * 300], ["runs", "--limit", "9" * 30],
        ["fork", "named", "--checkpoint", "²"], ["fork", "named", "--checkpoint", "../../etc/passwd"],
        ["evaluate", "named", "--checkpoint", "²"], ["metrics", "named", "--format", ""],
        ["check", "mlp-tiny", "--set", "seed=!!timestamp x"],
    ],
)  # fmt: skip
def test_hostile_input_exits_2_with_one_line(say: Said, store: Store, arguments: list[str]) -> None:
    store.runs.create(SPEC.with_changes("name=named"))
    code, out, err = say(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    lines = err.splitlines()
    assert len(lines) == 1 or lines[1].startswith("Try `workbench")
    assert "unexpected" not in err
    assert "\x1b" not in err


@pytest.mark.parametrize("name", ["[/x]", "[bold]b", ":rocket:", "<b>b</b>", "2024", "nan", "a\\b"])
def test_any_name_is_listed_as_it_is(say: Said, store: Store, name: str) -> None:
    code, out, _ = say("train", "mlp-tiny", "--detach", "--name", name)
    assert code == 0
    row = store.runs.get(out.strip())
    assert row.name == name
    store.runs.exit(row.id, "failed", {"where": "[/y]", "rule": "r", "fact": "f", "repair": ""})
    assert name in say("runs")[1]
    assert "error: [/y]: r, but f." in say("show", row.id)[1]
    assert json.loads(say("show", row.id, "--json")[1])["name"] == name


def test_a_stop_that_nobody_answers_is_no_success(
    say: Said, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "PATIENCE_S", 0.1)
    row = store.runs.create(SPEC.with_changes("name=silent"))
    store.runs.claim(row.id, os.getpid(), started_at(os.getpid()), HOST)
    store.runs.update(row.id, phase="running")
    for verb, wanted in (("pause", "paused"), ("stop", "stopped")):
        code, out, err = say(verb, "silent", "--json")
        assert code == 1
        assert json.loads(out)["state"] == "running"
        assert f"It is not {wanted} yet" in err


def test_a_database_that_refuses_is_said_in_our_words(
    say: Said, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.store import schema

    row = store.runs.create(SPEC)
    monkeypatch.setattr(schema, "_configure_sqlite", lambda *_: None)  # no patience with locks
    other = sqlite3.connect(store.home / "workbench.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        code, out, err = say("rename", row.id, "other")
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert (code, out) == (1, "")
    assert "database is locked" in err
    assert "try again" in err
    assert len(err.splitlines()) == 1
