"""Frozen layers of a model with two stacks: numbered through, encoder first."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.engine.texts import reversals
from tests.engine.tiny import Script, change
from workbench.engine import fit as loop
from workbench.engine.checkpoint import Checkpoint, equal, from_bytes
from workbench.engine.control import Request
from workbench.engine.flush import Flush
from workbench.engine.frozen import layers_of
from workbench.models.build import build
from workbench.records import Change
from workbench.specs.errors import SpecError
from workbench.specs.run import RunSpec, from_dict
from workbench.specs.starts import decoder, encoder
from workbench.tasks.choose import task_for

DATA = reversals()
# In the order of the layer table; the encoder's are 0 to 3.
NAMES = [*(f"encoder.{i}" for i in range(4)), *(f"decoder.{i}" for i in range(5))]


def spec_of(**training: Any) -> RunSpec:
    optimizer = {"kind": "adamw", "lr": 0.01, "weight_decay": 0.1}
    usual = {"batch_size": 16, "device": "cpu", "threads": 1, "optimizer": optimizer, "steps": 12}
    return from_dict(
        {
            "model": {"family": "seq2seq", "layers": encoder(16, 1), "decoder": decoder(14, 16, 1)},
            "task": {"kind": "translation", "scored": 0},
            "training": {**usual, **training},
        }
    )


def run(spec: RunSpec, control: Script | None = None, **more: Any) -> list[Flush]:
    model = build(spec.model, DATA.shape, seed=0)
    task = task_for(spec.task, DATA.shape.target.vocabulary, None)
    flushes = []
    for flush in loop.fit(model, DATA, task, spec, control=control, **more):
        flushes.append(flush)
        if control is not None:
            control.step = flush.step
    return flushes


def saved(flushes: list[Flush]) -> dict[int, Checkpoint]:
    blobs = [s.blob for f in flushes for s in f.checkpoints if s.name == "last"]
    return {c.step: c for c in map(from_bytes, blobs)}


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """Names of the layers of which a weight has changed."""
    changed = [name for name, value in before.items() if not torch.equal(value, after[name])]
    return {layer for layer in NAMES if any(name.startswith(f"{layer}.") for name in changed)}


def test_the_model_is_numbered_as_the_layer_table_is() -> None:
    spec = spec_of()
    model = build(spec.model, DATA.shape, seed=0)
    assert list(layers_of(model)) == NAMES
    rows = spec.model.rows(DATA.shape)
    sizes = [sum(p.numel() for p in layer.parameters()) for layer in layers_of(model).values()]
    assert sizes == [row.parameters for row in rows]
    assert [layer.kind for layer in spec.model.numbered] == [row.kind for row in rows]


@pytest.mark.parametrize("frozen", [[0, 1, 2, 3], [4], [2, 6], [0, 2, 3, 4, 6, 7], [8]])
def test_frozen_layers_of_both_stacks_stay_and_the_others_learn(frozen: list[int]) -> None:
    fresh = build(spec_of().model, DATA.shape, seed=0).state_dict()
    last = saved(run(spec_of(freeze=frozen)))[12].part("model")
    weighty = {layer for layer in NAMES if any(name.startswith(f"{layer}.") for name in dict(fresh))}
    positions = {"encoder.1", "decoder.1"}  # sinusoidal: they have none
    assert moved(fresh, last) == (weighty - positions) - {NAMES[i] for i in frozen}


def test_a_decoder_frozen_and_thawed_at_work_keeps_every_bit_meanwhile(every_step: None) -> None:
    pause, resume = Request("pause"), Request("resume")
    plan = {3: [change(freeze=[2, 6, 8]), pause], 7: [change(freeze=[]), pause]}
    kept = saved(run(spec_of(), Script(plan, paused=[[resume], [resume]])))
    states = {step: checkpoint.part("model") for step, checkpoint in kept.items()}
    while_frozen = moved(states[3], states[7])
    assert while_frozen.isdisjoint({"encoder.2", "decoder.2", "decoder.4"})
    assert {"encoder.0", "decoder.0"} <= while_frozen
    assert {"encoder.2", "decoder.2", "decoder.4"} <= moved(states[7], states[12])


@pytest.mark.parametrize("ledger", [(), (Change(5, {"training.freeze": [0, 4, 8]}, 0.0),)])
def test_a_run_with_frozen_layers_of_both_stacks_goes_on_bit_for_bit(ledger: tuple[Change, ...]) -> None:
    whole = spec_of(freeze=[2, 6], ema=0.5)
    first = saved(run(whole.with_changes("training.steps=7"), ledger=ledger))[7]
    once = saved(run(whole, ledger=ledger))[12]
    again = saved(run(whole, ledger=ledger, resume=first))[12]
    assert equal(again, once)


def test_what_cannot_be_frozen_is_refused_by_the_number_of_layers() -> None:
    with pytest.raises(SpecError, match="layers are 0 to 8, but there is no layer 9"):
        run(spec_of(freeze=[9]))
    with pytest.raises(SpecError, match="every layer with weights is frozen"):
        run(spec_of(freeze=list(range(9))))
