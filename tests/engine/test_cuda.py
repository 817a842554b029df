"""What only a GPU can show: half precision, resume and changes there, and no step that waits for it.

torch's kernels there are not all deterministic, so losses are compared to rounding and states bit for bit.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.engine.tiny import Asking, Script, change, images, run, spec_of
from workbench.engine.checkpoint import equal, from_bytes, to_bytes
from workbench.engine.flat import Flat
from workbench.engine.trainer import Trainer
from workbench.models.build import build
from workbench.tasks.choose import task_for

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

DEEP = [
    {"kind": "conv2d", "out_channels": 8, "padding": 1, "bias": False},
    {"kind": "batch_norm"},
    {"kind": "relu"},
    {"kind": "flatten"},
    {"kind": "linear", "out_features": 3},
]
OPTIMIZERS = {
    "sgd": {"kind": "sgd", "lr": 0.05},
    "adam": {"kind": "adam", "lr": 0.01},
    "adamw": {"kind": "adamw", "lr": 0.01},
    "rmsprop": {"kind": "rmsprop", "lr": 0.003, "momentum": 0.5},
}


def gpu(**more):
    return spec_of(DEEP, **{"steps": 40, "device": "cuda", **more})


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_state_comes_back_bit_for_bit_and_goes_on(optimizer: str, precision: str, every_step):
    more = {
        "ema": 0.9,
        "freeze": [0],
        "accumulation_steps": 2,
        "augment": [{"kind": "shift"}, {"kind": "mixup"}],
    }
    spec, data = gpu(optimizer=OPTIMIZERS[optimizer], precision=precision, **more), images()
    whole = run(spec)
    part = from_bytes(to_bytes(run(spec, control=Asking({20: "stop"})).checkpoint()))
    trainer = Trainer(build(spec.model, (1, 6, 6), seed=1), data, task_for(spec.task, 3), spec)
    trainer.restore(part)
    again = trainer.capture()
    assert equal(part, again)
    assert part.meta["scaler"] == again.meta["scaler"]
    rest = run(spec, resume=part)
    assert np.allclose(whole.values("train/loss")[20:], rest.values("train/loss"), rtol=0.05, atol=0.02)
    assert np.isfinite(whole.values("train/loss")).all()


def test_the_loss_scale_survives_a_reload(every_step):
    spec = gpu(precision="fp16")
    whole = run(spec)
    rest = run(spec, resume=run(spec, control=Asking({13: "stop"})).checkpoint())
    assert whole.checkpoint().meta["scaler"] == rest.checkpoint().meta["scaler"]


def test_a_steered_run_and_its_ledger_agree(every_step):
    script = {
        5: [change(lr=0.01)],
        9: [change(freeze=[0, 1])],
        15: [change(augment=[{"kind": "flip"}])],
        21: [change(freeze=[], accumulation_steps=3, clip_norm=0.5)],
    }
    spec = gpu(optimizer=OPTIMIZERS["adam"])
    seen = run(spec, control=Script(script))
    again = run(spec, ledger=seen.ledger)
    assert np.array_equal(seen.values("lr"), again.values("lr"))
    assert np.allclose(seen.values("train/loss"), again.values("train/loss"), rtol=0.05, atol=0.02)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_no_step_waits_for_the_device():
    """torch itself complains of every synchronisation inside."""
    for more in (
        {},
        {"ema": 0.9, "clip_norm": 1.0},
        {"freeze": [0]},
        {"accumulation_steps": 3},
        {"augment": [{"kind": "flip"}, {"kind": "cutout"}, {"kind": "mixup"}]},
        {"precision": "fp16", "optimizer": OPTIMIZERS["adam"]},
    ):
        spec = gpu(**more)
        trainer = Trainer(build(spec.model, (1, 6, 6), seed=0), images(), task_for(spec.task, 3), spec)
        batches = trainer.rest_of_epoch()
        trainer.advance(*next(batches))  # lazy state is made here
        torch.cuda.synchronize()
        mode = torch.cuda.get_sync_debug_mode()
        try:
            torch.cuda.set_sync_debug_mode("error")
            trainer.advance(*next(batches))
            trainer.advance(*next(batches))
        finally:
            torch.cuda.set_sync_debug_mode(mode)


@pytest.mark.filterwarnings("error:RNN module weights")
@pytest.mark.parametrize("both", [False, True])
def test_a_recurrent_layer_finds_its_weights_where_cudnn_wants_them(both: bool):
    """Else they are copied at every call, and torch warns of it."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LSTM(8, 16, 2, bidirectional=both)).cuda()
    flat = Flat(model)
    out, _ = model(torch.randn(5, 3, 8, device="cuda"))
    out.sum().backward()
    assert float(flat.grad.abs().sum()) > 0
    for name, part in flat.split(flat.weights.detach()).items():
        assert part.data_ptr() == model.get_parameter(name).data_ptr()
