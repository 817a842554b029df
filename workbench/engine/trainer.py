"""One run's training state and its single step; taken out as a Checkpoint and put back bit for bit.

It knows no clock, no flush and nobody who watches: `fit` does. Notation: B samples, K classes,
n trainable weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.engine.augment import Augment
from workbench.engine.average import Average
from workbench.engine.batches import batch_sizes
from workbench.engine.checkpoint import Checkpoint, to_bytes
from workbench.engine.device import pick, place
from workbench.engine.distill import Teacher
from workbench.engine.feeds import Feed, Rows, feed_for
from workbench.engine.flat import Flat
from workbench.engine.frozen import freeze, frozen_names
from workbench.engine.masks import Masks
from workbench.engine.optim import Updates
from workbench.engine.precision import Precision
from workbench.engine.progress import Progress
from workbench.engine.tally import Counted, Tally
from workbench.engine.task import Parted, Task
from workbench.engine.team import CHANGE, STEP, Order, Team
from workbench.records import Data
from workbench.specs.errors import DataError, RunError
from workbench.specs.run import RunSpec

LABELS = "labels of the training images"  # one set may take the place of another under its name
SAMPLED = 16  # every so many steps the cost of keeping loss, hits and norm is measured


class Trainer:
    """step: updates done; progress: what validations have decided. The model is moved to the device.

    teacher: the trained model of `training.distill`; left out, the run learns from its labels alone. team:
    the processes that share each batch; None where this one takes all of it.
    """

    def __init__(
        self, model: nn.Module, data: Data, task: Task, spec: RunSpec, teacher: nn.Module | None = None,
        team: Team | None = None,
    ) -> None:  # fmt: skip
        training = spec.training
        self.spec = spec
        self.task = task
        self.device = pick(training.device)
        if training.threads is not None:
            shared = 1 if team is None else team.size
            torch.set_num_threads(max(1, training.threads // shared))
        self.team = team
        self.model = place(model, self.device, half=training.precision != "fp32").train()
        self.flat = Flat(self.model)
        self.masks = None
        if training.prune is not None and training.prune.what == "weights":
            self.masks = Masks.smallest(self.model, self.flat, training.prune)
            self.masks.hold()
        self.teacher = None
        if teacher is not None and training.distill is not None:
            self.teacher = Teacher(teacher, training.distill, task, self.device)
        self.updates = Updates(training.optimizer, self.flat)
        self.average = Average(self.flat, training.ema) if training.ema is not None else None
        self.precision = Precision(training.precision, self.device)
        least = spec.model.least_length(data.shape)
        self.train: Feed = feed_for(data.train, data, task, self.device, least=least)
        self.validation: Feed = feed_for(data.validation, data, task, self.device, least=least)
        if not self.train.n:
            fact = "the training split is empty"
            raise DataError.of("data", "training needs samples", fact, "Add some to it.")
        self._has_batch_norm = any(isinstance(m, _BatchNorm) for m in model.modules())
        self._sizes = batch_sizes(self.train.n, training.batch_size, join_single=self._has_batch_norm)
        self.steps_per_epoch = len(self._sizes)
        self.total_steps = training.total_steps(self.steps_per_epoch)
        self.validate_every = max(1, round(training.validate_every * self.steps_per_epoch))
        self.step = 0
        self.progress = Progress()
        self.tally = Tally(task, self.steps_per_epoch)
        self.telemetry_s = 0.0  # what keeping loss, hits and norm costs a step, smoothed
        self._augment: Augment | None = None
        self._blends = False  # whether labels come as shares of classes
        self._parted = task if isinstance(task, Parted) and task.parts else None
        self._frozen: set[int] = set()
        self._take_up(spec)
        torch.manual_seed(spec.seed)  # dropout; the order of the data does not depend on it

    @property
    def epoch(self) -> float:
        """Passes over the training split, fractional."""
        return self.step / self.steps_per_epoch

    @property
    def rate(self) -> float:
        """Learning rate of the next step."""
        training = self.spec.training
        factor = training.schedule.factor(self.step, self.total_steps, self.steps_per_epoch)
        return training.optimizer.lr * factor * self.progress.factor

    def rest_of_epoch(self) -> Iterator[tuple[Rows, int]]:
        """The batches (rows, B) from the present step to the end of its epoch."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        batches = self.train.shuffled(self.spec.seed, epoch, self._sizes)
        return iter(list(zip(batches, self._sizes, strict=True))[position:])

    def steer(self, spec: RunSpec) -> None:
        """From the next update on, what `specs.steer` may change is as `spec` says.

        Nothing that a checkpoint holds is touched: it does not matter whether it is taken before or after.
        Raises: SpecError, and nothing has changed, when no layer with weights is left to train.
        """
        self._take_up(spec)
        if self.team is not None and self.team.leads:
            self._tell(self.team)

    def share(self) -> None:
        """Rank 0's state and spec become everybody's: the others have read the spec without what was changed
        while the run was at work. Before the first step; without a team nothing happens."""
        if self.team is not None:
            self.team.hand(to_bytes(self.capture()))
            self._tell(self.team)

    def _tell(self, team: Team) -> None:
        team.say(Order(CHANGE))
        team.hand(self.spec.to_json().encode())

    def judged_model(self) -> AbstractContextManager[None]:
        """Inside, the model is the one that is validated and kept: averaged where that is asked for."""
        return nullcontext() if self.average is None else self.average.in_place()

    def _take_up(self, spec: RunSpec) -> None:
        training, ops = spec.training, spec.data.augment
        if set(training.freeze) != self._frozen:
            names = frozen_names(self.model, training.freeze, self.flat.spans)
            freeze(self.model, training.freeze, names, self.flat.spans)
            self.updates.freeze(names, training.optimizer)
            self._frozen = set(training.freeze)
        if self._augment is None or self._augment.ops != ops:
            self._augment = Augment(ops, self.task.n_classes, spec.seed) if ops else None
        self._blends = self._augment is not None and self._augment.mixes
        self.spec = spec
        self._group = self.updates.group
        self._group["weight_decay"] = training.optimizer.weight_decay
        self._parts = training.accumulation_steps

    def advance(self, rows: Rows, size: int) -> None:
        """One update from the B samples of `rows`. Never waits for the device."""
        if self.team is not None:
            self._begin_together(self.team)
        if self._augment is None:
            x, target = self.train.batch(rows)  # (B, C, H, W) and (B,); texts (B, L)
        else:
            x, target = self.train.changed(rows, self._augment, self.step)
        y = target.argmax(dim=1) if self._blends else target  # (B, K) where images were blended
        grad = self.flat.grad
        self._group["lr"] = rate = self.rate
        grad.zero_()
        counted: Counted | None = None
        parts: Tensor | None = None
        if self.team is not None:
            loss, scores, counted, parts = self._share_of(self.team, x, target, y)
        elif self._parts == 1:
            loss, scores, parts = self._backward(x, target, None, None)
        else:
            loss, scores, parts = self._in_parts(x, target, target)
        scaler, optimizer = self.precision.scaler, self.updates.torch
        if scaler is not None:
            scaler.unscale_(optimizer)
        if self.spec.training.l1:
            self.updates.shrink(self.spec.training.l1)
        if self.masks is not None:
            grad.mul_(self.masks.kept)
        began = perf_counter()
        norm = torch.linalg.vector_norm(grad)
        noted = perf_counter() - began
        limit = self.spec.training.clip_norm
        if limit is not None:
            grad.mul_(torch.clamp(limit / (norm + 1e-6), max=1.0))
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        self.step += 1
        if self.masks is not None:  # momentum of before a resume, decay: whatever moved them, they are zero
            self.masks.hold()
        if self.average is not None:
            self.average.follow(self.step)
        began = perf_counter()
        if counted is None:
            self.tally.add(loss, norm, scores, y, size, rate, parts)
        else:
            self.tally.add_counted(loss, norm, counted, size, rate, parts)
        if self.step % SAMPLED == 0:
            took = noted + perf_counter() - began
            self.telemetry_s += (took - self.telemetry_s) * (0.1 if self.telemetry_s else 1.0)

    def _backward(
        self, x: Tensor, y: Tensor, share: float | Tensor | None, taught: float | Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Adds the gradient of `share` of x's mean loss; gives that loss (), the scores (B, K) and the loss's
        parts, where the task has any.

        taught: the share of the teacher's part, whose mean is over samples where the task's may be over
        weights of classes.
        """
        if self.precision.name == "fp32":
            scores = self.model(x)  # (B, K)
        else:
            with self.precision.autocast():
                scores = self.model(x)
            scores = scores.float()
        loss, parts = self.task.loss(scores, y), None
        if self._parted is not None:
            loss, parts = self._parted.whole(self.model, loss, y)
        if share is not None:
            loss, parts = loss * share, None if parts is None else parts * share
        if self.teacher is not None:
            told = self.teacher.loss(scores, self.teacher.scores(x, self.precision.autocast), y)
            weight = self.teacher.spec.weight
            loss = (1.0 - weight) * loss + weight * (told if taught is None else told * taught)
        scaler = self.precision.scaler
        (loss if scaler is None else scaler.scale(loss)).backward()
        return loss, scores, parts

    def _begin_together(self, team: Team) -> None:
        """All make this update. What is drawn by chance in it depends on seed, step and rank alone, so that a
        checkpoint need not hold every process's random state."""
        if team.leads:
            team.say(Order(STEP, self.step, self.progress.factor))
        mixed = np.random.SeedSequence([self.spec.seed, self.step, team.rank]).generate_state(1, np.uint64)
        torch.manual_seed(int(mixed[0]) >> 1)

    def _shares(self, team: Team, n: int) -> int:
        """How many processes take a part of a batch of n. Batch norm sees the part, of two samples at
        least."""
        return max(1, min(team.size, n // 2 if self._has_batch_norm else n))

    def _share_of(
        self, team: Team, x: Tensor, target: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor, Counted, Tensor | None]:
        """This process's part of the batch; gradient, loss () and its parts, and counts are the whole
        batch's."""
        shares = self._shares(team, len(y))
        loss = scores = torch.zeros((), device=self.device)
        n_parts = 0 if self._parted is None else len(self._parted.parts)
        sums = torch.zeros(3 + n_parts, device=self.device)
        if team.rank < shares:
            own, meant, told = (part.tensor_split(shares)[team.rank] for part in (x, target, y))
            loss, scores, parts = self._in_parts(own, meant, target)
            count = self.task.count(told)
            sums[1] = self.task.hits(scores, told)
            sums[2] = len(told) if count is None else count
            if parts is not None:
                sums[3:] = parts
        elif self.precision.scaler is not None:
            self.precision.scaler.scale(loss)  # it makes its scale when it is first asked, and must have one
        sums[0] = loss
        team.sum(self.flat.grad)
        team.sum(sums)
        return sums[0], scores, Counted(sums[1], sums[2]), sums[3:] if n_parts else None

    def _in_parts(self, x: Tensor, y: Tensor, everything: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The same, the batch in parts that differ by one image at most: their losses, each weighted by
        its share of the mass of `everything`, the batch's labels, sum to the whole batch's mean."""
        size, whole = len(y), self.task.mass(everything)
        # Batch norm cannot train on a single vector.
        parts = max(1, min(self._parts, size // 2 if self._has_batch_norm else size))
        teacher = self.teacher
        losses, scores, aside = [], [], []
        for some, labels in zip(x.tensor_split(parts), y.tensor_split(parts), strict=True):
            taught = None if teacher is None else _share(teacher.mass(labels), teacher.mass(everything))
            loss, seen, told = self._backward(some, labels, _share(self.task.mass(labels), whole), taught)
            losses.append(loss.detach())
            scores.append(seen.detach())
            aside += [] if told is None else [told]
        parted = torch.stack(aside).sum(dim=0) if aside else None
        return torch.stack(losses).sum(), torch.cat(scores), parted

    # ------------------------------------------------------------ in and out

    def capture(self, **meta: Any) -> Checkpoint:
        """A copy of everything on the CPU, with `meta` beside what the trainer knows itself."""
        weights = self.flat.split(_copy(self.flat.weights))
        tensors = {f"model/{name}": part for name, part in weights.items()}
        for name, value in self.model.state_dict().items():
            if name not in weights:  # buffers, such as batch norm's running mean
                tensors[f"model/{name}"] = _copy(value)
        if self.average is not None:
            parts = self.flat.split(_copy(self.average.vector))
            tensors |= {f"ema/{name}": part for name, part in parts.items()}
        if self.masks is not None:
            tensors |= {f"mask/{name}": bits for name, bits in self.masks.packed().items()}
        tensors |= {f"optimizer/{name}": value for name, value in self.updates.tensors().items()}
        tensors["rng/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["rng/cuda"] = torch.cuda.get_rng_state(self.device)
        scaler = self.precision.scaler
        own = {
            "step": self.step,
            "epoch": self.epoch,
            "work": self._work(),
            "progress": self.progress.to_meta(),
            "scaler": scaler.state_dict() if scaler else None,
        }
        return Checkpoint(tensors, {**own, **meta})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on from `checkpoint` as the run that wrote it would have.

        Raises: RunError when it belongs to another model, optimizer, data size or batch size.
        """
        work, own = checkpoint.meta.get("work", {}), self._work()
        for key, value in own.items():
            if key == LABELS and key not in work:  # of a version that did not note them
                continue
            if work.get(key) != value:
                raise _other_work(key, work.get(key), value)
        weights = checkpoint.part("model")
        if {n: t.shape for n, t in weights.items()} != {
            n: t.shape for n, t in self.model.state_dict().items()
        }:
            raise _other_work("layers", "others", "these")
        self.model.load_state_dict(weights)
        if self.masks is not None:
            self.masks = Masks.restored(self.flat, checkpoint.part("mask"))
        self.updates.restore(checkpoint.part("optimizer"), self.spec.training.optimizer)
        self._take_up(self.spec)
        if self.average is not None:  # an average that was asked for later begins at the weights
            averaged = checkpoint.part("ema")
            vector = self.flat.join(averaged) if averaged else self.flat.weights.detach()
            self.average.vector.copy_(vector)
        self.progress = Progress(**checkpoint.meta["progress"])
        self.step = checkpoint.step
        if self.precision.scaler and checkpoint.meta.get("scaler"):
            self.precision.scaler.load_state_dict(checkpoint.meta["scaler"])
        torch.set_rng_state(checkpoint.tensors["rng/cpu"])
        if self.device.type == "cuda" and "rng/cuda" in checkpoint.tensors:
            torch.cuda.set_rng_state(checkpoint.tensors["rng/cuda"], self.device)

    def _work(self) -> dict[str, Any]:
        """What must be the same for a step to mean the same."""
        return {
            "training images": self.train.n,
            LABELS: self.train.mark,
            "steps per epoch": self.steps_per_epoch,
            "batch size": self.spec.training.batch_size,
            "optimizer": self.spec.training.optimizer.kind,
        }


def _share(mass: int | Tensor, whole: int | Tensor) -> float | Tensor:
    """A part's share of the mass of all; 0 where nothing counts, without waiting for the device."""
    return mass / (whole + (whole == 0))


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def _other_work(what: str, theirs: object, ours: object) -> RunError:
    return RunError.of(
        "checkpoint",
        f"an exact continuation needs the same {what}",
        f"the checkpoint has {theirs} and the run {ours}",
        "Start a fork from the checkpoint's weights instead.",
    )
