"""The second warm process: answers what pages and the command line ask, over a Unix socket.

Verbs: ping; predict {run, checkpoint, images: [{"name", "content": base64}] and attention (whether
to tell where a Vision Transformer looked), or texts: [...] and asked: {temperature, ...},
or rows: [{column: value}] or files of tables}; try {run, checkpoint, text, asked}: the same with
attention; evaluate {run, checkpoint, data}; summary {spec}; import {path, spec, name}: weights laid
onto a design; augment {data, n, seed, step};
hardest {run, checkpoint, split} (worker/samples.py);
trial_begin {kind, spec}, trial_look and trial_stop {id} (worker/trials.py). One question is worked on at
a time; the rest wait. The process belongs to its supervisor and leaves when that is gone.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from workbench import catalog
from workbench.jobs import wire
from workbench.models.summary import summary
from workbench.specs.errors import Problem, RunError, WorkbenchError
from workbench.specs.picture_tasks import PICTURE_TASKS
from workbench.specs.run import from_dict
from workbench.store import Store, open_store
from workbench.worker.importing import import_weights, slug
from workbench.worker.judge import judge
from workbench.worker.looked import looked
from workbench.worker.nursery import Nursery
from workbench.worker.pictures import picture_answers
from workbench.worker.predict import predict
from workbench.worker.preview import augmented
from workbench.worker.process import stamp
from workbench.worker.samples import Samples
from workbench.worker.series import ahead
from workbench.worker.tables import say_rows
from workbench.worker.texts import read_texts, say, try_out
from workbench.worker.trained import Shelf
from workbench.worker.trials import Trials, work

WAITING = 16  # connections that may queue
AT_ONCE = ("ping", "trial_look", "trial_stop")  # quick, and never behind a long evaluation


class Answers:
    """The verbs. Plain functions behind them; the command line calls `answer` without a socket."""

    def __init__(self, store: Store, nursery: Nursery | None = None) -> None:
        self.store = store
        self.shelf = Shelf(store)
        trials = Trials(nursery)
        self.verbs: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "ping": lambda payload: {"pid": os.getpid()},
            "predict": self._predict,
            "try": self._try,
            "evaluate": self._evaluate,
            "summary": self._summary,
            "import": self._import,
            "hardest": Samples(store, self.shelf).look,
            "augment": lambda payload: augmented(self.store, payload),
            "trial_begin": trials.begin,
            "trial_look": trials.look,
            "trial_stop": trials.stop,
        }

    def answer(self, verb: str, payload: Mapping[str, Any]) -> Any:
        """The JSON-ready answer. Raises WorkbenchError for what cannot be answered."""
        if verb not in self.verbs:
            raise WorkbenchError.of(
                "verb", f"the verbs are {', '.join(self.verbs)}", f"`{verb}` is none of them"
            )
        return self.verbs[verb](payload)

    def _predict(self, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
        trained = self.shelf.get(payload["run"], payload.get("checkpoint"))
        if trained.data.kind == "series":
            return ahead(trained, payload)
        if trained.data.kind == "table":
            return say_rows(trained, payload)
        if trained.data.kind == "text":
            return say(trained, read_texts(payload), **payload.get("asked", {}))
        files = [(item["name"], base64.b64decode(item["content"])) for item in payload.get("images", [])]
        if trained.row.spec.task.kind in PICTURE_TASKS:
            return list(picture_answers(trained, payload, files))
        found = predict(trained, files)
        told = [answer.to_json() for answer in found]
        if payload.get("attention"):
            told = [{**one, "looked": looked(trained, a.pixels)} for one, a in zip(told, found, strict=True)]
        return told

    def _try(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        trained = self.shelf.get(payload["run"], payload.get("checkpoint"))
        if trained.data.kind != "text":
            raise RunError.of(
                f"run `{trained.row.name}`", "only models of texts are tried on a text", "it sees images",
                "Show it a picture on the Predict page.",
            )  # fmt: skip
        return try_out(trained, str(payload.get("text", "")), **payload.get("asked", {}))

    def _evaluate(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        trained = self.shelf.get(payload["run"], payload.get("checkpoint"))
        return judge(self.store, trained, payload.get("data"), payload.get("beam"))

    def _import(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        name = slug(str(payload.get("name", "")))
        spec = from_dict(dict(payload["spec"]))
        return import_weights(self.store, Path(payload["path"]), spec, name)

    def _summary(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        spec = from_dict(dict(payload["spec"]))
        shape, scores = catalog.shape_and_classes(self.store, spec.data)
        found = summary(spec.model, spec.task.input(shape, scores))
        return {"text": found.text, "parameters": found.parameters, "mult_adds": found.mult_adds}


def main() -> int:
    """Serve until the supervisor is gone or says so (SIGTERM), or the nursery is gone.

    Without a nursery there are no trials, and only a fresh process can have one: the supervisor starts it.
    """
    parent = os.getppid()
    nursery = Nursery(work)  # before the first thread
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    torch.set_num_threads(max(1, min(4, (os.cpu_count() or 2) // 2)))  # trainings come first
    store = open_store()
    answers = Answers(store, nursery)
    turn = threading.Lock()
    with contextlib.closing(_listen(store)) as listener:
        while not over.is_set() and os.getppid() == parent and not nursery.is_gone():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=_converse, args=(connection, answers, turn), daemon=True).start()
    return 0


def _listen(store: Store) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        (store.home / wire.NAME).unlink()  # a killed predecessor's; we are here because it is gone
    before = os.umask(0o177)  # only this user may ask
    try:
        with wire.address(store.home) as path:
            listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(WAITING)
    listener.settimeout(1.0)
    return listener


def _converse(connection: socket.socket, answers: Answers, turn: threading.Lock) -> None:
    with connection:
        connection.settimeout(600.0)
        with contextlib.suppress(OSError, ValueError):
            while (question := wire.receive(connection)) is not None:
                wire.send(connection, _reply(question, answers, turn))


def _reply(question: Any, answers: Answers, turn: threading.Lock) -> dict[str, Any]:
    began = time.monotonic()
    verb = str(question.get("verb")) if isinstance(question, dict) else "?"
    try:
        with contextlib.nullcontext() if verb in AT_ONCE else turn:
            return {"answer": answers.answer(verb, question["payload"])}
    except WorkbenchError as error:
        return {"error": {"kind": type(error).__name__, "problems": [p.model_dump() for p in error.problems]}}
    except Exception as error:
        with contextlib.suppress(OSError):
            traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        problem = Problem(
            where=verb, rule="the question must be answerable", fact=f"{type(error).__name__}: {first}",
            repair="See answers.log in the home.",
        )  # fmt: skip
        return {"error": {"kind": "WorkbenchError", "problems": [problem.model_dump()]}}
    finally:
        if verb != "ping":
            with contextlib.suppress(OSError):  # a full disk is no reason not to answer
                print(f"{stamp()} {verb} took {time.monotonic() - began:.2f} s", flush=True)
