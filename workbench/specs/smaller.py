"""Choices that make a model smaller or better by another: a teacher to learn from, weights to leave out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workbench.specs.base import Spec, knob


class Distill(Spec):
    """Learn from another run's model as well as from the labels (Hinton et al. 2015)."""

    teacher: Annotated[str, Field(max_length=200)] = knob(
        "", "The run that teaches, by id, start of an id, or name: same data, same classes"
    )
    checkpoint: Annotated[str, Field(max_length=40)] = knob(
        "best", "Which of its saved states teaches: best, last, or a step", advanced=True
    )
    temperature: float = knob(
        4.0, "Above 1 the teacher's scores are softened, so that what it holds for unlikely counts too",
        gt=0, le=100,
    )  # fmt: skip
    weight: float = knob(
        0.7, "Share of the loss that the teacher has; the rest is the task's own", ge=0, le=1
    )


class Prune(Spec):
    """Leave out the smallest of the weights this run starts with, and train the rest."""

    what: Literal["weights", "channels"] = knob(
        "weights",
        "weights: single weights are held at zero, the shapes stay; channels: the model has fewer channels "
        "and neurons than the run it was forked from, and takes over the strongest of them",
    )
    amount: float = knob(0.5, "Share that is left out", gt=0, lt=1)
    scope: Literal["global", "layer"] = knob(
        "global",
        "Of single weights: global compares them over the whole model, layer within each layer",
    )
