"""Asks the warm process that has torch loaded: predictions, evaluations, summaries.

So that a page can show what a model says without ever importing torch itself.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Any

from workbench.jobs import wire
from workbench.jobs.launch import ensure_supervisor, log_file
from workbench.specs import errors
from workbench.specs.errors import Problem, StoreError, WorkbenchError
from workbench.store import Store


def ask(store: Store, verb: str, payload: Mapping[str, Any], timeout_s: float = 30.0) -> Any:
    """The answer to `verb` ("predict", "evaluate", "summary", "ping"), JSON-ready.

    Starts the supervisor where none lives and waits for it within `timeout_s`. Raises the error the
    answering side raised (SpecError, RunError, DataError …), or StoreError when there is no answer.
    """
    deadline = time.monotonic() + timeout_s
    question = {"verb": verb, "payload": dict(payload)}
    try:
        reply = _asked(store, question, deadline, timeout_s)
    except ConnectionError:
        # The process may just have been replaced, and every question may be asked twice. But only
        # twice: it may be the question that ends it.
        try:
            reply = _asked(store, question, deadline, timeout_s)
        except ConnectionError as error:
            raise _silent(f"the connection broke ({error})", f"Try again; see {log_file(store)}.") from None
    if "error" in reply:
        raise _raised(reply["error"])
    return reply["answer"]


def _asked(store: Store, question: Any, deadline: float, timeout_s: float) -> Any:
    """The reply. Raises ConnectionError when the other side went away, StoreError when time is up."""
    with _connect(store, deadline, timeout_s) as connection:
        connection.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            wire.send(connection, question)
            reply = wire.receive(connection)
        except TimeoutError:
            fact = f"`{question['verb']}` took longer than {timeout_s:g} s"
            raise _silent(fact, "Ask for less, or wait longer.") from None
    if reply is None:
        raise ConnectionError("it ended in the middle of the work")
    return reply


def _connect(store: Store, deadline: float, timeout_s: float) -> socket.socket:
    """A connection to the answering process, which may only just be starting."""
    ensured = -1e9
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with wire.address(store.home) as path:
                connection.connect(path)
            return connection
        except OSError:
            connection.close()
        now = time.monotonic()
        if now >= deadline:
            raise _silent(f"it did not come up within {timeout_s:g} s", f"See {log_file(store)}.")
        if now - ensured > 1.0:
            ensure_supervisor(store)
            ensured = now
        time.sleep(0.05)


def _silent(fact: str, repair: str) -> StoreError:
    return StoreError.of("the answering process", "it must answer", fact, repair)


def _raised(error: Mapping[str, Any]) -> WorkbenchError:
    """The error as it was raised on the other side."""
    kind = getattr(errors, str(error.get("kind")), WorkbenchError)
    if not (isinstance(kind, type) and issubclass(kind, WorkbenchError)):
        kind = WorkbenchError
    with contextlib.suppress(Exception):
        return kind(*(Problem.model_validate(problem) for problem in error["problems"]))
    return WorkbenchError.of("the answering process", "its answer must be readable", "it is not")
