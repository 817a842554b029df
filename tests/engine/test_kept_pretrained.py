"""What a pretrained encoder keeps of a step, predicted without torch: held against torch's allocator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.models import encoders
from workbench.engine.peaks import allocated_peak
from workbench.engine.trainer import Trainer
from workbench.models.build import build
from workbench.specs.base import Tokens
from workbench.specs.memory import predict, step_bytes
from workbench.specs.run import from_dict
from workbench.specs.sizes import Extent

WIDE = {"hidden_size": 64, "intermediate_size": 200, "num_attention_heads": 4}
VARIANTS: dict[str, dict[str, Any]] = {
    "whole": {}, "embeddings": {"freeze_embeddings": True},
    "frozen": {"freeze_embeddings": True, "freeze_layers": 2},
    "LoRA": {"lora_rank": 4}, "LoRA above": {"lora_rank": 4, "freeze_layers": 2},
}  # fmt: skip


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_what_a_pretrained_encoder_keeps_is_torchs_own(kind: str, variant: str, tmp_path: Path):
    folder = encoders.saved(kind, tmp_path / kind, **WIDE)
    layer = {"kind": "pretrained_text", "source": str(folder), "num_labels": 3, **VARIANTS[variant]}
    spec = from_dict({"model": {"layers": [layer]}})
    found = spec.model.layers[0].checkpoint()
    shape = Tokens(36, found.vocabulary)
    model = build(spec.model, shape, seed=0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    for batch in (8, 32):
        ids, y = torch.randint(4, found.vocabulary, (batch, 36)), torch.arange(batch) % 3
        ids[: batch // 2, 30:] = 0

        def step(ids: Any = ids, y: Any = y) -> object:
            scores = model(ids.clone())
            loss = F.cross_entropy(scores, y.clone())
            loss.backward()
            return loss, scores

        step()
        said = step_bytes(spec, shape, 3, batch, "cpu", Extent(36, 33 / 36, False))
        assert said == pytest.approx(allocated_peak(step), rel=0.2), batch


@pytest.mark.parametrize("variant", ["whole", "frozen", "LoRA"])
def test_weights_that_rest_have_no_gradient_and_no_moments(variant: str, tmp_path: Path):
    from tests.models.tuning import data_of, spec_for
    from workbench.tasks.choose import task_for

    folder = encoders.saved("bert", tmp_path / "bert")
    spec = spec_for(folder, training={"optimizer": {"kind": "adamw"}, "ema": 0.9}, **VARIANTS[variant])
    data = data_of(folder)
    sizes = {"train": 36, "validation": 36, "test": 0}
    said = predict(spec, data.shape, 3, sizes, device="cpu", free=10**10)
    trainer = Trainer(build(spec.model, data.shape, seed=0), data, task_for(spec.task, 3, data.train.y), spec)
    held = 4 * sum(span.numel for span in trainer.flat.spans.values())
    assert (said.gradients, said.optimizer, said.average) == (held, 2 * held, held)
    assert said.weights == 4 * sum(p.numel() for p in trainer.model.parameters())
