"""A trainer for two networks that learn against each other, and the choice between it and the usual one.

A step is one update of each, on one batch: first the discriminator, then the generator against what the
discriminator has become. All else, such as checkpoints and resuming bit for bit, is the usual trainer's.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from workbench.engine.feeds import Rows
from workbench.engine.tally import Counted
from workbench.engine.task import Task
from workbench.engine.team import Team
from workbench.engine.trainer import SAMPLED, Trainer
from workbench.records import Data
from workbench.specs.run import RunSpec

GENERATOR, DISCRIMINATOR = 0, 1  # turns, as `models.duel.Adversaries` names them


def trainer_for(
    model: nn.Module,
    data: Data,
    task: Task,
    spec: RunSpec,
    teacher: nn.Module | None = None,
    team: Team | None = None,
) -> Trainer:
    """The trainer of a run. Raises what a trainer raises."""
    kind = DuelTrainer if task.kind == "generation" else Trainer
    return kind(model, data, task, spec, teacher, team)


class DuelTrainer(Trainer):
    """Alternating updates. train/loss and grad_norm are the generator's, train/discriminator_loss is the
    other's; train/told_apart is how many of the batch's true and made images the discriminator told."""

    def advance(self, rows: Rows, size: int) -> None:
        """One update of each network from the B true images of `rows`. Never waits for the device."""
        if self.team is not None:
            self._begin_together(self.team)
        if self._augment is None:
            x, _ = self.train.batch(rows)
        else:
            x, _ = self.train.changed(rows, self._augment, self.step)
        task: Any = self.task
        model: Any = self.model
        self._group["lr"] = rate = self.rate
        share: float | None = None
        if self.team is not None:
            x, share = self._own(self.team, x)
        nothing = torch.zeros((), device=self.device)
        made = true_scores = made_scores = torch.zeros(0, device=self.device)
        against = loss = nothing
        if len(x):
            noise = task.noise(len(x)).to(self.device)
            with self.precision.autocast():
                made = model.generator(noise)
                true_scores = model.discriminator(x)
                made_scores = model.discriminator(made.detach())
            true_scores, made_scores = true_scores.float().flatten(), made_scores.float().flatten()
            against = _shared(task.discriminator_loss(true_scores, made_scores), share)
        self._turn(against, DISCRIMINATOR)
        if len(x):
            with self.precision.autocast():
                scores = model.discriminator(made)
            loss = _shared(task.generator_loss(scores.float().flatten()), share)
        norm, noted = self._turn(loss, GENERATOR)
        self.step += 1
        if self.masks is not None:
            self.masks.hold()
        if self.average is not None:
            self.average.follow(self.step)
        began = perf_counter()
        told = torch.cat([true_scores, made_scores])
        y = torch.cat([torch.ones_like(true_scores), torch.zeros_like(made_scores)])
        if self.team is None:
            self.tally.add(loss, norm, told, y, size, rate, against.detach().unsqueeze(0))
        else:
            sums = torch.stack([loss.detach(), against.detach(), task.hits(told, y), nothing + len(y)])
            self.team.sum(sums)
            self.tally.add_counted(sums[0], norm, Counted(sums[2], sums[3]), size, rate, sums[1:2])
        if self.step % SAMPLED == 0:
            took = noted + perf_counter() - began
            self.telemetry_s += (took - self.telemetry_s) * (0.1 if self.telemetry_s else 1.0)

    def _own(self, team: Team, x: Tensor) -> tuple[Tensor, float]:
        """This process's part of the B true images, none for one too many, and its share of the batch."""
        shares = self._shares(team, len(x))
        own = x.tensor_split(shares)[team.rank] if team.rank < shares else x[:0]
        return own, len(own) / len(x)

    def _turn(self, loss: Tensor, turn: int) -> tuple[Tensor, float]:
        """One network's update: the norm of its gradient, and the seconds that took."""
        self.flat.grad.zero_()  # the other network's too: its part of the last gradient is nobody's
        if loss.requires_grad:
            loss.backward()
        if self.team is not None:
            self.team.sum(self.flat.grad)
        with self.updates.only(turn) as grads:
            if self.spec.training.l1:
                self.updates.shrink(self.spec.training.l1)
            if self.masks is not None:
                self.flat.grad.mul_(self.masks.kept)
            began = perf_counter()
            norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(grad) for grad in grads]))
            noted = perf_counter() - began
            limit = self.spec.training.clip_norm
            if limit is not None:
                for grad in grads:
                    grad.mul_(torch.clamp(limit / (norm + 1e-6), max=1.0))
            self.updates.torch.step()
        return norm, noted


def _shared(loss: Tensor, share: float | None) -> Tensor:
    """A mean over a part of the batch as its part of the whole batch's mean."""
    return loss if share is None else loss * share
