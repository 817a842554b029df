"""Verbs about a trained model: `evaluate` and `predict`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.terminal import Json, Run, console, print_json, table, the_store
from workbench.specs.errors import DataError

if TYPE_CHECKING:
    from workbench.store import Store

Checkpoint = Annotated[
    str | None, typer.Option(metavar="best|last|STEP", help="Which weights; the best where there are such.")
]


def evaluate(
    run: Run,
    checkpoint: Checkpoint = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="A folder, an archive, or a registered set's name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Loss, accuracy and confusion on test images or other data."""
    store = the_store()
    place = str(Path(data).expanduser().resolve()) if data and Path(data).expanduser().exists() else data
    found = answer(store, "evaluate", {"run": run, "checkpoint": checkpoint, "data": place}, timeout_s=600.0)
    if as_json:
        print_json(found)
        return
    where = f"checkpoint {found['checkpoint']}, step {found['step']}"
    print(f"{found['images']:,} images of {found['data']} ({where})")
    for name, value in found["metrics"].items():
        print(f"{name}: {value:.4f}")
    rows = table("true \\ said", *(f"{name}>" for name in found["classes"]))
    for name, counts in zip(found["classes"], found["confusion"], strict=True):
        rows.add_row(name, *(str(count) for count in counts))
    console().print(rows)


def predict(
    run: Run,
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Image files.")],
    checkpoint: Checkpoint = None,
    as_json: Json = False,
) -> None:
    """What a run's model says to pictures."""
    images = [{"name": name, "content": base64.b64encode(_content(name)).decode()} for name in inputs]
    found = answer(the_store(), "predict", {"run": run, "checkpoint": checkpoint, "images": images})
    if as_json:
        print_json([{key: item[key] for key in ("input", "prediction", "probabilities")} for item in found])
        return
    for item in found:
        best = "  ".join(f"{name} {share:.1%}" for name, share in list(item["probabilities"].items())[:3])
        print(f"{item['input']}: {item['prediction']}   ({best})")


def answer(store: Store, verb: str, payload: Mapping[str, Any], timeout_s: float = 60.0) -> Any:
    """From the warm process where there is one, else worked out here (torch takes seconds to load)."""
    from workbench.jobs.answers import ask
    from workbench.jobs.launch import supervisor

    if supervisor(store) is not None:
        return ask(store, verb, payload, timeout_s)
    from workbench.worker.answering import Answers

    return Answers(store).answer(verb, payload)


def _content(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise DataError.of(name, "an input is an image file", error.strerror or str(error)) from None
