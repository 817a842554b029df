"""Imported weights that a run begins with: whether they are there, and the copy that it keeps. No torch."""

from __future__ import annotations

from workbench.jobs.steering import START
from workbench.specs.errors import Problem, WorkbenchError
from workbench.specs.pretrained import as_built
from workbench.specs.run import RunSpec
from workbench.store import RunRow, Store

WHERE = "training.start_weights"


def weights_problems(store: Store, spec: RunSpec) -> list[Problem]:
    """Why the run cannot begin with the weights that it names, and a doubt where they were laid onto another
    design; nothing where it names none."""
    name = spec.training.start_weights
    if name is None:
        return []
    try:
        facts = store.weights.facts(name)
    except WorkbenchError as error:
        return [p.model_copy(update={"where": WHERE}) for p in error.problems]
    layers = [layer.model_dump(mode="json") for layer in as_built((*spec.model.layers, *spec.model.decoder))]
    if facts.get("layers") == layers:
        return []
    return [
        Problem(
            where=WHERE, rule="weights fit best the design that they were laid onto",
            fact=f"`{name}` was imported for another one", severity="warning",
            repair="Those that match by name and shape are taken; import the file again for this design.",
        )
    ]  # fmt: skip


def pin(store: Store, row: RunRow) -> None:
    """The run keeps a copy: what is imported later under that name does not change it. Raises: DataError."""
    name = row.spec.training.start_weights
    if name is not None:
        store.checkpoints.write(row.id, START, store.weights.read(name), step=0, epoch=0.0, metrics={})
