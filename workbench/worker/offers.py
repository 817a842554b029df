"""What a run that ran out of memory is offered: the same update, its batch cut into smaller parts."""

from __future__ import annotations

from typing import Any

from workbench.specs.run import RunSpec

MOST_PARTS = 1024  # the limit of training.accumulation_steps


def smaller_parts(spec: RunSpec) -> dict[str, Any] | None:
    """`{"text", "changes"}` that halves the part of a batch which is in memory; None where none is smaller.

    spec: with its ledger in force.
    """
    parts, batch = spec.training.accumulation_steps, spec.training.batch_size
    # Batch norm needs two images in a part to compare.
    fewest = 2 if any("norm" in layer.kind for layer in spec.model.layers) else 1
    if batch // (2 * parts) < fewest or 2 * parts > MOST_PARTS:
        return None
    part = -(-batch // (2 * parts))
    images = "one image" if part == 1 else f"{part:,} images"
    text = (
        f"Go on with each batch of {batch:,} cut into {2 * parts:,} parts of {images}: the same update, "
        "and about half the memory for it."
    )
    return {"text": text, "changes": {"training.accumulation_steps": 2 * parts}}


def same_again(step: int | None) -> dict[str, Any]:
    """The offer to a run whose device went away: nothing of the run has to change."""
    return {"text": f"Resume it: {going_on(step)}", "changes": {}}


def going_on(step: int | None) -> str:
    """From where a run goes on when it is resumed; None: nothing was saved."""
    if step is None:
        return "it starts again, as no checkpoint was saved yet."
    return f"it goes on from its last good checkpoint, step {step:,}."
