"""How much memory a training takes on its device, and what fills it, before torch is loaded.

Counted is what torch allocates for tensors on the device, and on a CPU also the images in host memory and
the copies that a checkpoint is written from. Not counted: the process itself with its libraries (CUDA's
context on a GPU), what an allocator keeps in reserve, and pictures of the model's inside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from workbench.specs.base import Shape
from workbench.specs.kept import walk
from workbench.specs.run import RunSpec
from workbench.specs.tape import FLOAT, INDEX, Tape, Value
from workbench.specs.training import AnyOptimizer

MOST_BATCH = 65_536  # the limit of training.batch_size
FLOAT_SHARE = 0.25  # of the free memory: so much may normalised images take (engine.batches keeps to it)
JUDGED = {"cpu": 128}  # images that are validated at a time (engine.evaluate)
JUDGED_GPU = 1024
WAITING = 16 * 2**20  # bytes of scores that wait for a flush (engine.tally)


@dataclass(frozen=True)
class Memory:
    """Bytes on the device at the moment when most is there. at: what happens then."""

    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int  # inputs, outputs and what derivatives keep; gradients of outputs; workspace
    data: int  # images and labels that stay
    checkpoints: int = 0  # copies of the training state while it is written
    at: str = "step"

    @property
    def total(self) -> int:
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """Name → bytes, in the order in which people ask."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "at"}


def predict(
    spec: RunSpec, shape: Shape, n_classes: int, sizes: Mapping[str, int], *, device: str = "cpu", free: int
) -> Memory:
    """The peak of a run of `spec` on images (C, H, W) of `shape`.

    sizes: images per split (train, validation, test); device: "cpu", "cuda" or "mps"; free: bytes that are
    free on it before the run, which decide how the images are kept.
    Check: within 15 % of what torch's allocator says, for every preset and batch size (tests/specs).
    Raises: SpecError (LayerError) for a stack that cannot work.
    """
    spec.model.out_shape(shape)
    training = spec.training
    weights = FLOAT * spec.model.n_params(shape)
    learning = FLOAT * _learning(spec, shape)
    state = learning * optimizer_copies(training.optimizer)
    average = weights if training.ema is not None else 0
    data = data_bytes(spec, shape, sizes, device, free)
    batch = min(training.batch_size, sizes["train"] or training.batch_size)
    phases = {
        "step": (step_bytes(spec, shape, n_classes, batch, device), 0),
        "update": (update_bytes(spec, batch, shape, learning), 0),
        "validation": (validation_bytes(spec, shape, n_classes, sizes["validation"], device) + average, 0),
    }
    if device == "cpu":
        phases["checkpoint"] = (0, 4 * (weights + state + average))
    at = max(phases, key=lambda name: sum(phases[name]))
    activations, copies = phases[at]
    return Memory(weights, weights, state, average, activations, data, copies, at)


def largest_batch(
    spec: RunSpec,
    shape: Shape,
    n_classes: int,
    sizes: Mapping[str, int],
    *,
    device: str,
    free: int,
    factor: float = 1.0,
    room: int | None = None,
) -> int:
    """The most images per update whose run fits into `room` bytes (`free` where left out); 0: not even one.

    At most all training images, and what a spec allows. factor: measured over predicted bytes, where a
    step was measured.
    """
    room = free if room is None else room

    def fits(batch: int) -> bool:
        changed = spec.training.model_copy(update={"batch_size": batch})
        tried = spec.model_copy(update={"training": changed})
        return factor * predict(tried, shape, n_classes, sizes, device=device, free=free).total <= room

    low, high = 0, min(MOST_BATCH, sizes["train"] or MOST_BATCH)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def fewest_parts(
    spec: RunSpec, shape: Shape, n_classes: int, sizes: Mapping[str, int], *, device: str, free: int
) -> int | None:
    """The fewest parts of a batch (accumulation_steps) with which the run fits; None: none does."""
    parts = max(2, spec.training.accumulation_steps)
    while parts <= min(1024, spec.training.batch_size):
        changed = spec.training.model_copy(update={"accumulation_steps": parts})
        tried = spec.model_copy(update={"training": changed})
        if predict(tried, shape, n_classes, sizes, device=device, free=free).total <= free:
            return parts
        parts *= 2
    return None


def optimizer_copies(optimizer: AnyOptimizer) -> int:
    """How many numbers the optimizer keeps per weight."""
    if optimizer.kind in ("adam", "adamw"):
        return 2
    momentum = 1 if getattr(optimizer, "momentum", 0) else 0
    return momentum + (1 if optimizer.kind == "rmsprop" else 0)


def step_bytes(spec: RunSpec, shape: Shape, n_classes: int, batch: int, device: str = "cpu") -> int:
    """Activations, their gradients and workspace at the peak of one update with `batch` images."""
    training = spec.training
    parts = max(1, min(training.accumulation_steps, batch))
    part = -(-batch // parts)
    tape = tape_of(spec, part, device)
    images = batch * math.prod(shape) * FLOAT
    x = tape.new(shape)
    scores = walk(tape, spec.model.layers, x, training.freeze)
    if scores.item != FLOAT:
        scores = tape.op([scores], scores.shape, item=FLOAT)
    loss_of(tape, spec, scores)
    waiting = min(WAITING, batch * n_classes * FLOAT) if parts > 1 else 0
    whole = images - x.store.size  # the parts are views of the whole batch
    return tape.peak + whole + waiting


def loss_of(tape: Tape, spec: RunSpec, scores: Value) -> None:
    """Cross-entropy and the backward pass from it."""
    logs = tape.op([scores], scores.shape, keeps_output=True)
    smoothed = 1 if spec.task.label_smoothing else 0
    tape.note(smoothed * logs.store.size)
    tape.backward(logs)
    tape.drop(logs.store)


def update_bytes(spec: RunSpec, batch: int, shape: Shape, learning: int) -> int:
    """What the optimizer's own arithmetic takes for a moment, beside the batch's images."""
    optimizer = spec.training.optimizer
    temporary = 0
    if optimizer.kind == "rmsprop":  # torch has no fused kernel for it
        temporary = learning * (2 if optimizer.weight_decay else 1)
    return temporary + batch * math.prod(shape) * FLOAT


def validation_bytes(spec: RunSpec, shape: Shape, n_classes: int, n: int, device: str = "cpu") -> int:
    """The peak of a pass over `n` validation images, nothing kept for derivatives."""
    batch = min(n, JUDGED.get(device, JUDGED_GPU))
    if batch < 1:
        return 0
    tape = tape_of(spec, batch, device)
    tape.training = False
    walk(tape, spec.model.layers, tape.new(shape))
    return tape.peak + 2 * n * n_classes * FLOAT


def tape_of(spec: RunSpec, batch: int, device: str) -> Tape:
    half = spec.training.precision != "fp32"
    return Tape(batch, last=device == "cpu" or (device == "cuda" and half), half=half, gpu=device != "cpu")


def data_bytes(spec: RunSpec, shape: Shape, sizes: Mapping[str, int], device: str, free: int) -> int:
    """Images and labels that stay on the device for the whole run; on a CPU also the arrays as loaded."""
    pixels = math.prod(shape)
    held = 0
    for name in ("train", "validation"):
        n = sizes[name]
        is_changed = bool(spec.data.augment) and name == "train"
        room = FLOAT_SHARE * max(0, free - held)
        if FLOAT * n * pixels <= room and not is_changed:
            held += FLOAT * n * pixels
        elif n * pixels <= room:
            held += n * pixels
        held += INDEX * n
    held += 2 * INDEX * sizes["train"]  # an epoch's order, and its labels in that order
    if device == "cpu":
        n = sum(sizes.get(name, 0) for name in ("train", "validation", "test"))
        held += n * pixels + 2 * INDEX * n
    return held


def _learning(spec: RunSpec, shape: Shape) -> int:
    """Weights that are not frozen."""
    rows = spec.model.rows(shape)
    frozen = set(spec.training.freeze)
    return sum(row.parameters for row in rows if row.index not in frozen)
