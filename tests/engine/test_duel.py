"""Two networks that learn in turns: each update is its own, and a run goes on bit for bit."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.test_masked import values
from tests.engine.tiny import Images, images
from workbench.engine.checkpoint import from_bytes
from workbench.engine.duel import DuelTrainer, trainer_for
from workbench.engine.fit import fit
from workbench.models.build import build
from workbench.specs.run import RunSpec, from_dict
from workbench.tasks.generation import Generation
from workbench.tasks.reconstruction import Reconstruction
from workbench.worker.start import starting

SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def data() -> Images:
    return images(96, 32, SHAPE)


def spec_of(**training: Any) -> RunSpec:
    generator = [
        {"kind": "linear", "out_features": 32}, {"kind": "unflatten", "height": 2, "width": 2},
        {"kind": "batch_norm"}, {"kind": "relu"},
        {"kind": "conv_transpose2d", "out_channels": 4, "kernel_size": 4, "stride": 2, "padding": 1},
        {"kind": "relu"},
        {"kind": "conv_transpose2d", "out_channels": 1, "kernel_size": 4, "stride": 2, "padding": 1},
        {"kind": "tanh"},
    ]  # fmt: skip
    discriminator = [
        {"kind": "conv2d", "out_channels": 4, "kernel_size": 4, "stride": 2, "padding": 1},
        {"kind": "leaky_relu", "negative_slope": 0.2}, {"kind": "dropout", "p": 0.2}, {"kind": "flatten"},
        {"kind": "linear", "out_features": 1},
    ]  # fmt: skip
    given = {"optimizer": {"kind": "adam", "lr": 2e-3, "beta1": 0.5}, "batch_size": 16, "device": "cpu"}
    return from_dict(
        {
            "model": {"family": "gan", "layers": generator, "decoder": discriminator}, "seed": 4,
            "task": {"kind": "generation", "latent": 6}, "training": {**given, **training},
            "data": {"normalize": "symmetric"},
        }
    )  # fmt: skip


def task_of(spec: RunSpec) -> Generation:
    return Generation(spec.task.latent, spec.task.real_label)


def built(spec: RunSpec) -> torch.nn.Module:
    return build(spec.model, spec.task.input(SHAPE, 0), seed=spec.seed)


def run(data: Images, spec: RunSpec, **more: Any) -> tuple[torch.nn.Module, list[Any]]:
    model = built(spec)
    return model, list(fit(model, data, task_of(spec), spec, **more))


@pytest.mark.parametrize("more", [{}, {"ema": 0.9}, {"optimizer": {"kind": "sgd", "lr": 0.01}}])
def test_two_hundred_steps_are_a_hundred_a_checkpoint_and_a_hundred(data, more):
    whole_model, whole = run(data, spec_of(steps=200, epochs=None, **more))
    _, first = run(data, spec_of(steps=100, epochs=None, **more))
    last = [saved for flush in first for saved in flush.checkpoints if saved.name == "last"][-1]
    rest_model, rest = run(data, spec_of(steps=200, epochs=None, **more), resume=from_bytes(last.blob))
    for key in ("train/loss", "train/discriminator_loss", "train/told_apart", "grad_norm"):
        assert {**values(first, key), **values(rest, key)} == values(whole, key), key
        assert len(values(whole, key)) == 200
    for a, b in zip(whole_model.state_dict().values(), rest_model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_step_is_what_two_optimizers_of_torch_do_in_turn(data):
    """One update of each network, as written down by hand with an optimizer of its own for each."""
    spec = spec_of(steps=5, epochs=None)
    tree = spec.model_dump()
    tree["model"]["decoder"] = [layer for layer in tree["model"]["decoder"] if layer["kind"] != "dropout"]
    spec = from_dict(tree)
    task = task_of(spec)
    trainer = trainer_for(built(spec), data, task, spec)
    assert isinstance(trainer, DuelTrainer)
    model: Any = built(spec)
    first, second = (
        torch.optim.Adam(part.parameters(), lr=2e-3, betas=(0.5, 0.999))
        for part in (model.generator, model.discriminator)
    )
    model.train()
    torch.manual_seed(spec.seed)
    state = torch.get_rng_state()
    batches = list(trainer.rest_of_epoch())[:3]
    for rows, size in batches:
        torch.set_rng_state(state)
        trainer.advance(rows, size)
        after = torch.get_rng_state()
        torch.set_rng_state(state)
        x, _ = trainer.train.batch(rows)
        made = model.generator(task.noise(size))
        second.zero_grad()
        task.discriminator_loss(model(x).flatten(), model(made.detach()).flatten()).backward()
        second.step()
        first.zero_grad()
        task.generator_loss(model(made).flatten()).backward()
        first.step()
        state = after
    for name, own in trainer.model.state_dict().items():
        torch.testing.assert_close(own, model.state_dict()[name], rtol=1e-4, atol=1e-6, msg=name)


def test_a_turn_leaves_the_other_network_as_it_is(data):
    spec = spec_of()
    trainer = trainer_for(built(spec), data, task_of(spec), spec)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    loss = sum(parameter.sum() for parameter in trainer.model.parameters())
    trainer._turn(loss, 1)
    changed = {
        name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed == {name for name in before if name.startswith("discriminator.")}


def test_a_validation_tells_both_losses_and_the_distance_of_what_is_made(data):
    _, flushes = run(data, spec_of(epochs=3))
    for name in ("loss", "distance", "told_apart", "discriminator_loss", "generator_loss"):
        found = values(flushes, f"val/{name}")
        assert len(found) == 3
        assert np.isfinite(list(found.values())).all()
    assert values(flushes, "val/loss") == values(flushes, "val/distance")


class Still(Generation):
    """Draws the same noise wherever it is asked, so that parts of a batch can be compared with the whole."""

    def noise(self, n):
        return torch.linspace(-1, 1, self.latent).expand(n, self.latent).clone()


class Beside:
    """A team of threads in one process, which sum as processes do."""

    leads, size = False, 2

    def __init__(self, rank: int, place: threading.Barrier, slots: list[Any]) -> None:
        self.rank, self._place, self._slots = rank, place, slots

    def sum(self, tensor: torch.Tensor) -> None:
        self._slots[self.rank] = tensor.clone()
        self._place.wait()
        tensor.copy_(self._slots[0] + self._slots[1])
        self._place.wait()


def shared_by_two(made: Any, n: int) -> list[Any]:
    """Two trainers side by side after n steps. made(team) gives one."""
    place, slots = threading.Barrier(2, timeout=30), [None, None]
    trainers = [made(Beside(rank, place, slots)) for rank in (0, 1)]

    def work(trainer: Any) -> None:
        for rows, size in list(trainer.rest_of_epoch())[:n]:
            trainer.advance(rows, size)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, trainers))
    return trainers


def plain_spec(**training: Any) -> RunSpec:
    """Without norms and dropout, which see a part of the batch or draw by chance."""
    tree = spec_of(**training).model_dump()
    for stack in ("layers", "decoder"):
        tree["model"][stack] = [
            layer for layer in tree["model"][stack] if layer["kind"] not in ("batch_norm", "dropout")
        ]
    return from_dict(tree)


def test_two_processes_that_share_each_batch_make_the_updates_of_one(data):
    spec = plain_spec(steps=5, epochs=None, clip_norm=1.0, l1=1e-5)
    task = Still(spec.task.latent, spec.task.real_label)
    one = trainer_for(built(spec), data, task, spec)
    for rows, size in list(one.rest_of_epoch())[:5]:
        one.advance(rows, size)
    two = shared_by_two(lambda team: trainer_for(built(spec), data, task, spec, team=team), 5)
    assert torch.equal(two[0].flat.weights, two[1].flat.weights)
    torch.testing.assert_close(two[0].flat.weights, one.flat.weights, rtol=1e-4, atol=1e-5)
    drained = [{part.key: part.values for part in trainer.tally.drain(5)} for trainer in (one, two[0])]
    assert drained[0].keys() == drained[1].keys()
    for key, values_of_one in drained[0].items():
        np.testing.assert_allclose(drained[1][key], values_of_one, rtol=1e-3, atol=1e-5, err_msg=key)


def test_parts_of_a_reconstructions_loss_are_summed_over_the_processes(data, monkeypatch):
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)  # codes are the means
    layers = [
        {"kind": "flatten"}, {"kind": "linear", "out_features": 8}, {"kind": "reparameterize"},
        {"kind": "linear", "out_features": 64}, {"kind": "unflatten", "height": 8, "width": 8},
        {"kind": "sigmoid"},
    ]  # fmt: skip
    spec = spec_of(steps=4, epochs=None)
    tree = {**spec.model_dump(), "task": {"kind": "reconstruction"}, "data": {"normalize": "unit"}}
    spec = from_dict({**tree, "model": {"layers": layers}})
    task = Reconstruction("mse", 1.0, draws=True)
    one = trainer_for(built(spec), data, task, spec)
    for rows, size in list(one.rest_of_epoch())[:4]:
        one.advance(rows, size)
    two = shared_by_two(lambda team: trainer_for(built(spec), data, task, spec, team=team), 4)
    drained = [{part.key: part.values for part in trainer.tally.drain(4)} for trainer in (one, two[0])]
    assert {"train/reconstruction", "train/kl"} <= drained[0].keys() == drained[1].keys()
    for key, values_of_one in drained[0].items():
        np.testing.assert_allclose(drained[1][key], values_of_one, rtol=1e-3, atol=1e-6, err_msg=key)


def test_a_pruned_generator_keeps_its_zeros_and_the_discriminator_is_left_whole(data):
    spec = spec_of(epochs=2, prune={"amount": 0.5}, ema=0.9)
    model, _ = run(data, spec)
    whole = built(spec)
    weights = {n: p for n, p in model.named_parameters() if n.startswith("generator.") and p.ndim > 1}
    zeros = sum(int((p == 0).sum()) for p in weights.values())
    assert zeros == round(0.5 * sum(p.numel() for p in weights.values()))
    for name, value in model.discriminator.named_parameters():
        assert (value != 0).all(), name
        assert not torch.equal(value, whole.discriminator.get_parameter(name)), name


def test_a_pruned_generator_meets_a_fresh_discriminator():
    """One that has learned would tell all that a cut generator makes."""
    spec = spec_of(prune={"amount": 0.5})
    saved = {name: value + 1 for name, value in built(spec).state_dict().items()}
    fresh = built(spec.with_changes("seed=9"))
    own = {name: value.clone() for name, value in fresh.state_dict().items()}
    taken = starting(fresh, spec, spec.task.input(SHAPE, 0), saved)
    assert taken.words == "Weights of the generator"
    for name, value in taken.tensors.items():
        source = saved if name.startswith("generator.") else own
        assert torch.equal(value, source[name]), name
