"""How much memory a training takes on its device, and what fills it, before torch is loaded.

Counted is what torch allocates for tensors on the device, and on a CPU also the images in host memory and
the copies that a checkpoint is written from. Not counted: the process itself with its libraries (CUDA's
context on a GPU), what an allocator keeps in reserve, and pictures of the model's inside.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

from workbench.specs.base import AnyShape, Duel, Pair, Picture, Shape, Tokens, Window
from workbench.specs.data_memory import cut, data_bytes, extent_of, input_bytes, width_of
from workbench.specs.kept import walk
from workbench.specs.layer import Layer
from workbench.specs.optimizers import AnyOptimizer
from workbench.specs.pretrained import PretrainedText
from workbench.specs.pretrained_image import PretrainedImage
from workbench.specs.run import RunSpec
from workbench.specs.sizes import Extent
from workbench.specs.tape import FLOAT, INDEX, Storage, Tape, Value
from workbench.specs.tasks import TOKEN_TASKS

MOST_BATCH = 65_536  # the limit of training.batch_size
JUDGED = {"cpu": 128}  # images that are validated at a time (engine.evaluate)
JUDGED_GPU = 1024
JUDGED_TOKENS = {"cpu": 2048}  # the same where tokens are told
JUDGED_TOKENS_GPU = 65_536
WAITING = 16 * 2**20  # bytes of scores that wait for a flush (engine.tally)
WAITING_STEPS = 1024


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
    spec: RunSpec,
    shape: AnyShape,
    n_classes: int,
    sizes: Mapping[str, int],
    *,
    device: str = "cpu",
    free: int,
) -> Memory:
    """The peak of a run of `spec` on images (C, H, W) or texts of `shape`.

    sizes: samples per split (train, validation, test), of texts `TextSizes`, without which every text counts
    as long as may be; device: "cpu", "cuda" or "mps"; free: bytes that are free on it before the run, which
    decide how the data is kept.
    Check: within 15 % of what torch's allocator says, for every preset and batch size (tests/specs).
    Raises: SpecError (LayerError) for a stack that cannot work.
    """
    spec.model.out_shape(shape)
    training = spec.training
    weights = FLOAT * spec.model.n_params(shape)
    learning, resting = FLOAT * _learning(spec, shape), FLOAT * _resting(spec, shape)
    state = learning * optimizer_copies(training.optimizer)
    average = weights - resting if training.ema is not None else 0
    data = data_bytes(spec, shape, sizes, device, free)
    batch = min(training.batch_size, sizes["train"] or training.batch_size)
    widest = extent_of(spec, shape, sizes, "train", batch)
    judged = extent_of(spec, shape, sizes, "validation", judged_at_once(spec, shape, sizes, device))
    validated = validation_bytes(spec, shape, n_classes, sizes["validation"], device, judged)
    phases = {
        "step": (step_bytes(spec, shape, n_classes, batch, device, widest), 0),
        "update": (update_bytes(spec, batch, shape, learning, widest), 0),
        "validation": (validated + average, 0),
    }
    if device == "cpu":
        phases["checkpoint"] = (0, 4 * (weights + state + average))
    at = max(phases, key=lambda name: sum(phases[name]))
    activations, copies = phases[at]
    return Memory(weights, weights - resting, state, average, activations, data, copies, at)


def largest_batch(
    spec: RunSpec,
    shape: AnyShape,
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
    spec: RunSpec, shape: AnyShape, n_classes: int, sizes: Mapping[str, int], *, device: str, free: int
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


def step_bytes(
    spec: RunSpec,
    shape: AnyShape,
    n_classes: int,
    batch: int,
    device: str = "cpu",
    extent: Extent | None = None,
) -> int:
    """Activations, their gradients and workspace at the peak of one update with `batch` samples.

    extent: what the batch of texts looks like; left out, all are as long as may be.
    """
    training = spec.training
    parts = max(1, min(training.accumulation_steps, batch))
    part = -(-batch // parts)
    tape = tape_of(spec, part, device, extent)
    shape = cut(shape, extent)
    scores, given = walked(tape, spec, shape, training.freeze)
    if scores.item != FLOAT:
        scores = tape.op([scores], scores.shape, item=FLOAT)
    loss_of(tape, spec, scores)
    waiting = min(WAITING, batch * math.prod(scores.shape) * FLOAT) if parts > 1 else 0
    waiting += waiting_bytes(spec, shape, n_classes, batch, extent)
    whole = input_bytes(shape, batch) - given  # the parts are views of the whole batch
    return tape.peak + whole + waiting


def waiting_bytes(
    spec: RunSpec, shape: AnyShape, n_classes: int, batch: int, extent: Extent | None = None
) -> int:
    """Scores of earlier steps that wait for a flush, where every token has some; those of samples are few."""
    if isinstance(shape, Picture):
        told = FLOAT * batch * math.prod(shape.gives)
        return told * min(WAITING_STEPS, WAITING // max(1, told))
    if spec.task.kind not in TOKEN_TASKS:
        return 0
    told = FLOAT * batch * width_of(cut(shape, extent)) * n_classes
    return told * min(WAITING_STEPS, WAITING // max(1, told))


def walked(tape: Tape, spec: RunSpec, shape: AnyShape, frozen: Collection[int] = ()) -> tuple[Value, int]:
    """The forward pass of the whole model: its scores, and the bytes of its inputs."""
    model = spec.model
    if isinstance(shape, Duel):
        return _dueled(tape, spec, shape)
    if not isinstance(shape, Pair):
        x = tape.new(shape, INDEX if isinstance(shape, Tokens) else FLOAT)
        tape.mask = tape.new((shape.length,), 1) if isinstance(shape, Tokens) else None
        tie(tape, spec, model.layers, shape)
        return walk(tape, model.layers, x, frozen), x.store.size
    source, target = (tape.new(part, INDEX) for part in shape)
    tape.mask = tape.memory_mask = tape.new((shape.source.length,), 1)
    tape.memory = walk(tape, model.layers, source, frozen)
    tape.mask = tape.new((shape.target.length,), 1)
    tie(tape, spec, model.decoder, shape.target)
    first = len(model.layers)  # the decoder's layers count on from the encoder's
    scores = walk(tape, model.decoder, target, {index - first for index in frozen})
    tape.drop(tape.memory.store)
    return scores, source.store.size + target.store.size


def _dueled(tape: Tape, spec: RunSpec, shape: Duel) -> tuple[Value, int]:
    """Both networks at once: images made, and judged beside true ones. The generator's turn comes after the
    discriminator's, whose graph is then gone, and needs less."""
    noise, x = tape.new(shape.noise), tape.new(shape.image)
    made = walk(tape, spec.model.layers, noise)
    true, against = (walk(tape, spec.model.decoder, images) for images in (x, made))
    tape.drop(made.store)
    scores = tape.op([true, against], (2,))
    tape.drop(true.store)
    tape.drop(against.store)
    return scores, noise.store.size + x.store.size


def tie(tape: Tape, spec: RunSpec, layers: Sequence[Layer], shape: Shape) -> None:
    """Where the embedding and the last linear layer share their weights, the tape is told so."""
    kinds = [getattr(layer, "kind", "") for layer in layers]
    if not spec.model.tie_embeddings or "embedding" not in kinds or "linear" not in kinds:
        return
    first, last = kinds.index("embedding"), len(kinds) - 1 - kinds[::-1].index("linear")
    weights = Value(Storage(0), (), grad=True, fixed=FLOAT * layers[first].n_params(shape))
    tape.shared = {id(layers[first]): weights, id(layers[last]): weights}


def loss_of(tape: Tape, spec: RunSpec, scores: Value) -> None:
    """Cross-entropy and the backward pass from it."""
    logs = tape.op([scores], scores.shape, keeps_output=True)
    smoothed = 1 if getattr(spec.task, "label_smoothing", 0) else 0
    tape.note(smoothed * logs.store.size)
    tape.backward(logs)
    tape.drop(logs.store)


def update_bytes(
    spec: RunSpec, batch: int, shape: AnyShape, learning: int, extent: Extent | None = None
) -> int:
    """What the optimizer's own arithmetic takes for a moment, beside the batch itself."""
    optimizer = spec.training.optimizer
    temporary = 0
    if optimizer.kind == "rmsprop":  # torch has no fused kernel for it
        temporary = learning * (2 if optimizer.weight_decay else 1)
    return temporary + input_bytes(cut(shape, extent), batch)


def validation_bytes(
    spec: RunSpec, shape: AnyShape, n_classes: int, n: int, device: str = "cpu", extent: Extent | None = None
) -> int:
    """The peak of a pass over `n` validation samples, nothing kept for derivatives."""
    shape = cut(shape, extent)
    per_token = spec.task.kind in TOKEN_TASKS
    most = JUDGED.get(device, JUDGED_GPU)
    if per_token:
        most = max(1, JUDGED_TOKENS.get(device, JUDGED_TOKENS_GPU) // width_of(shape))
    batch = min(n, most)
    if batch < 1:
        return 0
    tape = tape_of(spec, batch, device, extent)
    tape.training = False
    scores, _ = walked(tape, spec, shape)
    if per_token:  # each batch is told at once, and its scores are not kept
        loss_of(tape, spec, scores)
        return tape.peak + INDEX * batch * width_of(shape)
    if isinstance(shape, Window):  # its marks are made of sums
        return tape.peak + 4 * batch * n_classes * FLOAT
    return tape.peak + 2 * n * n_classes * FLOAT


def judged_at_once(spec: RunSpec, shape: AnyShape, sizes: Mapping[str, int], device: str) -> int:
    """Validation samples in a batch."""
    if spec.task.kind not in TOKEN_TASKS:
        return JUDGED.get(device, JUDGED_GPU)
    longest = extent_of(spec, shape, sizes, "validation", 1)
    width = width_of(cut(shape, longest))
    return max(1, JUDGED_TOKENS.get(device, JUDGED_TOKENS_GPU) // width)


def tape_of(spec: RunSpec, batch: int, device: str, extent: Extent | None = None) -> Tape:
    half = spec.training.precision != "fp32"
    last = device == "cpu" or (device == "cuda" and half)
    found = Tape(batch, last=last, half=half, gpu=device != "cpu")
    if extent is not None:
        found.fill, found.even = extent.fill, extent.even
    return found


def _learning(spec: RunSpec, shape: AnyShape) -> int:
    """Weights that are not frozen."""
    rows = spec.model.rows(shape)
    frozen = set(spec.training.freeze)
    learning = sum(row.parameters for number, row in enumerate(rows) if number not in frozen)
    return learning - _resting(spec, shape)


def _resting(spec: RunSpec, shape: AnyShape) -> int:
    """Weights of a pretrained model that never learn: they have no gradient, and no average."""
    if isinstance(shape, Pair):  # it is a classifier
        return 0
    found = 0
    for i, layer in enumerate(spec.model.layers):
        if isinstance(layer, PretrainedText | PretrainedImage) and i not in spec.training.freeze:
            found += layer.n_frozen(shape)
    return found
