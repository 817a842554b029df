"""A run that really learnt, in this process: the engine's own loop, its checkpoints in the store."""

from __future__ import annotations

from workbench import catalog
from workbench.engine.fit import fit
from workbench.models.build import build
from workbench.specs.run import RunSpec
from workbench.store import Store
from workbench.worker.trained import task_of


def taught(store: Store, spec: RunSpec) -> str:
    """The id of the finished run."""
    row = catalog.with_shipped(store, spec.data.name)
    run_id = store.runs.create(spec).id
    store.runs.update(run_id, data_version=row.version)
    data = catalog.load(store, spec.data, row.version)
    model = build(spec.model, data.shape, seed=spec.seed)
    for flush in fit(model, data, task_of(spec, data), spec):
        for kept in flush.checkpoints:
            store.checkpoints.write(
                run_id, kept.name, kept.blob, step=kept.step, epoch=kept.epoch, metrics=kept.metrics
            )
        store.flush(run_id, flush.records, step=flush.step, epoch=flush.epoch)
    store.runs.exit(run_id, "finished")
    return run_id
