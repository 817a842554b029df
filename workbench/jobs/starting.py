"""What a new run starts from: a checkpoint of its parent, and whether the weights fit. No torch."""

from __future__ import annotations

from workbench.specs.errors import RunError, SpecError
from workbench.specs.pretrained import as_built
from workbench.specs.run import RunSpec
from workbench.store import RunRow, Store


def checkpoint_name(text: str) -> str:
    """`best`, `last` or `step-N` from what a person writes: the bare number works too."""
    return f"step-{text}" if text.isdecimal() else text


def must_start_from_something(spec: RunSpec, checkpoint: str | None) -> None:
    """Raises SpecError where channels are to be chosen and there is no trained model to choose from."""
    prune = spec.training.prune
    if prune is not None and prune.what == "channels" and checkpoint is None:
        raise SpecError.of(
            "training.prune.what", "channels are chosen among those of a trained model",
            "the run starts from fresh weights",
            "Make it of a finished run: workbench shrink RUN --prune 0.5 --structured.",
        )  # fmt: skip


def must_fit(parent: RunSpec, spec: RunSpec) -> None:
    """Raises SpecError: weights fit the model that learned them, or one made of it with fewer channels."""
    prune = spec.training.prune
    if prune is not None and prune.what == "channels":
        return  # the child's process says where it does not fit
    before = parent.model.model_copy(update={"layers": as_built(parent.model.layers)})
    if spec.model.model_copy(update={"layers": as_built(spec.model.layers)}) != before:
        raise SpecError.of(
            "model", "weights fit only the architecture that learned them", "the fork changes the model",
            "Fork without a checkpoint, leave the model as it is, or take only the weights that match "
            "(--matching).",
        )  # fmt: skip


def known_checkpoint(store: Store, parent: RunRow, text: str) -> str:
    """The name of the checkpoint that is meant; step 300 may be kept under the name "last"."""
    name = checkpoint_name(text)
    known = [info for info in store.checkpoints.list(parent.id) if info.is_own]
    if name in [info.name for info in known]:
        return name
    for info in known:
        if name == f"step-{info.step}":
            return info.name
    have = ", ".join(f"{info.name} (step {info.step})" for info in known)
    raise RunError.of(
        f"run `{parent.name}`", "the checkpoint must exist", f"`{name}` does not",
        f"It has: {have}." if known else "It has saved none: fork without a checkpoint.",
    )  # fmt: skip
