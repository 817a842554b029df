"""Which views a run has, told from its spec, so that its tabs stand before anything was seen."""

from __future__ import annotations

from workbench.specs.inside import attends, reads_table, reads_text, recurs
from workbench.specs.run import RunSpec
from workbench.specs.tasks import TOKEN_TASKS

PICTURES = {  # what there is to see of answers that are images, by task
    "segmentation": ("masks", "report"),
    "reconstruction": ("reconstructions", "latent"),
    "generation": ("made",),
}


def views_of(spec: RunSpec) -> list[str]:
    """Tabs by id, in order. Those of runs on images are always the same; attention and states join them
    where the model has any."""
    if is_series(spec):
        states = ["states"] * recurs(spec.model)
        return ["curves", "forecast", *(["attention"] * attends(spec.model)), *states, "log"]
    inside = ["attention"] * attends(spec.model) + ["states"] * recurs(spec.model)
    if spec.task.kind in PICTURES:
        drawn = any(getattr(layer, "kind", "") == "reparameterize" for layer in spec.model.layers)
        made = ["made"] if drawn and spec.task.kind == "reconstruction" else []
        return ["curves", "filters", "maps", *inside, *PICTURES[spec.task.kind], *made, "log"]
    if is_table(spec):
        report = [] if spec.task.kind == "regression" else ["report"]
        return ["curves", *inside, "columns", "rows", *report, "log"]
    if not is_text(spec):
        return ["curves", "filters", "maps", *inside, "predictions", "log"]
    report = [] if spec.task.kind in TOKEN_TASKS else ["report"]
    return ["curves", *inside, "text", *report, "log"]


def is_series(spec: RunSpec) -> bool:
    return spec.task.kind == "forecasting"


def is_table(spec: RunSpec) -> bool:
    """Whether a run is on rows of a table."""
    return spec.task.kind in ("classification", "regression", "multi_label") and reads_table(spec.model)


def is_text(spec: RunSpec) -> bool:
    return spec.task.kind in TOKEN_TASKS or reads_text(spec.model)
