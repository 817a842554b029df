"""What a run will do, in numbers and in words, before it starts. Pure arithmetic on counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from workbench.specs.run import RunSpec
from workbench.specs.training import TrainingSpec
from workbench.ui.fields import option_word
from workbench.ui.marks import count, megabytes, share


@dataclass(frozen=True)
class Plan:
    """Images per split, and updates."""

    train: int
    validation: int
    test: int
    steps_per_epoch: int
    total_steps: int

    @property
    def epochs(self) -> float:
        return self.total_steps / self.steps_per_epoch


def plan(training: TrainingSpec, sizes: Mapping[str, int], *, batch_norm: bool = False) -> Plan:
    """sizes: images per split as the run will cut them, by the names train, validation and test.

    batch_norm: the model has some, so that a last batch of one image joins the one before (as
    `engine.batches.batch_sizes` cuts them).
    """
    n, size = sizes["train"], training.batch_size
    joins = batch_norm and n > size > 1 and n % size == 1
    steps = max(1, math.ceil(n / size) - joins)
    return Plan(sizes["train"], sizes["validation"], sizes["test"], steps, training.total_steps(steps))


def has_batch_norm(spec: RunSpec) -> bool:
    """Whether some layer is batch norm, inside blocks of layers too."""
    return '"kind":"batch_norm"' in spec.model.model_dump_json()


def checklist(
    spec: RunSpec, planned: Plan, parameters: int, memory_bytes: int, device: str
) -> list[tuple[str, str]]:
    """(heading, sentence) pairs that say what will happen. Headings are ours; sentences hold no markup."""
    training = spec.training
    length = f"{count(planned.total_steps)} updates of {count(training.batch_size)} images"
    rounds = f"{planned.epochs:.3g} {'pass' if planned.epochs == 1 else 'passes'} over the training images"
    sizes = (
        f"{count(planned.train)} images to learn from, {count(planned.validation)} to validate on, "
        f"{count(planned.test)} for the final test"
    )
    optimizer, schedule = option_word(training.optimizer.kind), option_word(training.schedule.kind).lower()
    lines = [
        ("Data", f"{spec.data.name}: {sizes}"),
        ("Model", f"{len(spec.model.layers)} layers with {count(parameters)} parameters"),
        ("Length", f"{length}: {rounds}, {count(planned.steps_per_epoch)} updates each"),
        ("Learning", f"{optimizer} at a learning rate of {training.optimizer.lr:g}, schedule: {schedule}"),
        ("Checks", f"validation every {_epochs(training.validate_every)}; the best and last state are kept"),
        ("Device", f"{device}, about {megabytes(memory_bytes)} of memory" if memory_bytes else device),
        ("Watching", _watching(spec)),
    ]
    ends = _early_ends(training)
    if ends:
        lines.insert(5, ("Ends early", ends))
    return lines


def device_words(device: str, gpus: int) -> str:
    """Where the run will compute, for this machine with `gpus` NVIDIA GPUs."""
    if device == "auto":
        return "the first GPU" if gpus else "this machine's processor (no GPU was found)"
    return {"cpu": "this machine's processor", "cuda": "the first GPU", "mps": "the Apple GPU"}.get(
        device, device
    )


def _epochs(number: float) -> str:
    return "epoch" if number == 1 else f"{number:g} epochs"


def _early_ends(training: TrainingSpec) -> str:
    ends = []
    if training.early_stopping:
        stopping = training.early_stopping
        ends.append(
            f"after {stopping.patience} validations without a better {option_word(stopping.metric).lower()}"
        )
    if training.stop_at_loss is not None:
        ends.append(f"at a validation loss of {training.stop_at_loss:g} or below")
    return ", or ".join(ends)


def _watching(spec: RunSpec) -> str:
    watch = spec.watch
    seen = [word for on, word in ((watch.filters, "filters"), (watch.feature_maps, "feature maps")) if on]
    if not any(layer.kind == "conv2d" for layer in spec.model.layers):
        seen = []
    what = " and ".join(seen) if seen else "curves"
    return f"{what} live, for at most {share(watch.budget)} of the time"
