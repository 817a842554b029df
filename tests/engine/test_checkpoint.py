"""A checkpoint is whole, ours and readable, or it is refused with a reason; nothing is unpickled."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

from workbench.engine.checkpoint import KEY, Checkpoint, equal, from_bytes, model_tensors, to_bytes
from workbench.specs.errors import RunError

SMALL = Checkpoint(
    {
        "model/0.weight": torch.tensor([[1.0, float("nan")], [float("inf"), -0.0]]),
        "model/1.num_batches_tracked": torch.tensor(3),
        "optimizer/step": torch.tensor(7.0),
        "rng/cpu": torch.arange(9, dtype=torch.uint8),
    },
    {"step": 7, "epoch": 1 / 3, "metrics": {"val/loss": 0.1 + 0.2, "train/loss": float("nan")}},
)


def test_a_checkpoint_comes_back_bit_for_bit():
    back = from_bytes(to_bytes(SMALL))
    assert equal(back, SMALL)
    assert (back.step, back.epoch) == (7, 1 / 3)
    assert back.metrics["val/loss"] == 0.1 + 0.2
    assert back.metrics["train/loss"] != back.metrics["train/loss"]


def test_views_of_one_vector_are_saved_as_tensors_of_their_own():
    vector = torch.arange(32.0)
    saved = Checkpoint({"a": vector[:6].view(2, 3), "b": vector[16:20]}, {"step": 0, "epoch": 0.0})
    back = from_bytes(to_bytes(saved))
    assert torch.equal(back.tensors["b"], torch.tensor([16.0, 17, 18, 19]))
    assert len(to_bytes(saved)) < 400


def test_a_file_cut_off_anywhere_is_refused():
    blob = to_bytes(SMALL)
    for length in range(len(blob)):
        with pytest.raises(RunError, match="must be a whole safetensors file"):
            from_bytes(blob[:length])


def test_foreign_files_are_refused():
    foreign = safetensors.torch.save({"a": torch.zeros(2)})
    for blob in (foreign, b"", b"\x80\x04pickle", b"\xff" * 64, b"\x02" + b"\0" * 7 + b"[]"):
        with pytest.raises(RunError, match="Use another checkpoint of the run"):
            from_bytes(blob)


def test_a_newer_format_is_refused_and_says_so():
    meta = {KEY: json.dumps({"format": 99})}
    with pytest.raises(RunError, match=r"up to format 1, but this one says 99\. Open it with a newer"):
        from_bytes(safetensors.torch.save({"a": torch.zeros(2)}, metadata=meta))


def test_model_tensors_are_the_state_dict_alone():
    assert model_tensors(to_bytes(SMALL)).keys() == {"0.weight", "1.num_batches_tracked"}
