"""Asks which samples a run's model finds hardest; the work is the warm process's, slice by slice."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from workbench.jobs.answers import ask
from workbench.specs.errors import RunError
from workbench.store import Store

KINDS = ("hardest", "mislabelled", "oddest")
SPLITS = ("validation", "test", "train")
PATIENCE_S = 600.0
Asker = Callable[[Store, str, Mapping[str, Any], float], Any]


def hardest(
    store: Store,
    run: str,
    split: str = SPLITS[0],
    checkpoint: str | None = None,
    progress: Callable[[float], None] = lambda share: None,
    asker: Asker = ask,
) -> dict[str, Any]:
    """`{"run", "checkpoint", "step", "data", "version", "split", "of", "judged", "doubted", "kind",
    "classes", "hardest", "mislabelled", "oddest"}`; the last three are lists, the worst first, of `{"row",
    "label", "prediction", "confidence", "label_share", "loss", "oddness"}` and of texts `text`. row counts in
    that version of the set; label and prediction are class numbers; loss is in nats; kind: images, text,
    table or series. Of a regression label and prediction are numbers in `unit` and loss is how far they are
    apart; of a series lines have `truth` (None where it was filled in) and `told` instead, and loss is the
    mean error in its spread; windows that were filled in wholly are left out and counted as `filled`. `task`
    says which.

    Raises RunError, also for language models and translators, whose samples have no classes; DataError or
    StoreError as the answering side does.
    """
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = asker(store, "hardest", {"run": run, "split": split, "checkpoint": checkpoint}, 60.0)
        progress(float(answer["share"]))
        if answer["found"] is not None:
            found: dict[str, Any] = answer["found"]
            return found
    raise RunError.of(
        f"run `{run}`", f"its samples are judged within {PATIENCE_S:g} s", "it took longer", "Ask again."
    )
