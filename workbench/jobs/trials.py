"""Asks for trials: of a spec before it runs, of a run's variants; the work is the warm process's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from workbench.jobs.answers import ask
from workbench.specs.errors import Problem, RunError, SpecError
from workbench.specs.run import RunSpec
from workbench.store import Store

Kind = Literal["preflight", "range_test"]
Question = Mapping[str, Any]  # kind: quantise or measure; run, checkpoint, how
POLL_S = 0.1
PATIENCE_S = 600.0


def begin_of(store: Store, question: Question) -> dict[str, Any]:
    """Start what is asked of a run, or find it under way, as `begin` does."""
    found: dict[str, Any] = ask(store, "trial_begin", {**question, "again": True})
    return found


def begin(store: Store, kind: Kind, spec: RunSpec, *, again: bool = False) -> dict[str, Any]:
    """Start a trial, or find the one under way: {"id", "state", "words", "share", "result", "problems"}.

    States: running, done, refused (it cannot run; problems say why and what would fit), failed, stopped.
    """
    payload = {"kind": kind, "spec": spec.model_dump(mode="json"), "again": again}
    found: dict[str, Any] = ask(store, "trial_begin", payload)
    return found


def look(store: Store, trial: str) -> dict[str, Any]:
    """How far it is. Raises RunError for one that is not known any more."""
    found: dict[str, Any] = ask(store, "trial_look", {"id": trial})
    return found


def stop(store: Store, trial: str) -> None:
    """End it at once."""
    ask(store, "trial_stop", {"id": trial})


def result(
    store: Store,
    kind: Kind,
    spec: RunSpec,
    progress: Callable[[str, float], None] = lambda words, share: None,
) -> dict[str, Any]:
    """The result, waited for. Raises SpecError where it was refused, RunError where it failed."""
    return _waited(store, begin(store, kind, spec, again=True), progress)


def result_of(
    store: Store, question: Question, progress: Callable[[str, float], None] = lambda words, share: None
) -> dict[str, Any]:
    """The same of what is asked of a run."""
    return _waited(store, begin_of(store, question), progress)


def _waited(store: Store, found: dict[str, Any], progress: Callable[[str, float], None]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    try:
        while found["state"] == "running" and time.monotonic() < deadline:
            time.sleep(POLL_S)
            found = look(store, found["id"])
            progress(found["words"], found["share"])
    finally:  # nobody waits for it any more, after Ctrl-C say
        if found["state"] == "running":
            stop(store, found["id"])
    problems = tuple(Problem.model_validate(problem) for problem in found["problems"])
    if found["state"] == "refused":
        raise SpecError(*problems)
    if found["state"] != "done":
        raise RunError(*problems) if problems else RunError.of("trial", "it must end", "it was stopped")
    whole: dict[str, Any] = found["result"]
    return whole
