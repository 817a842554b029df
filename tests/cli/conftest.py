"""A command line in this process, over a store that starts nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.cli.main import run
from workbench.jobs import runs as jobs
from workbench.store import Store, open_store

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Verb and arguments → exit code, standard output, standard error. No traceback is printed."""
    monkeypatch.setattr(jobs, "ensure_supervisor", lambda *_: None)

    def said(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capsys.readouterr()
        assert "Traceback" not in err + ("" if arguments[:1] == ("log",) else out)  # a run's log may hold one
        return code, out, err

    return said


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(jobs, "ensure_supervisor", lambda *_: None)
    return open_store()
