"""The script of a pretrained image classifier, run by itself: the same network, scores and frozen weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import classifiers
from workbench.export.code import pytorch_code
from workbench.models.build import build
from workbench.specs.errors import SpecError
from workbench.specs.model import ModelSpec

SHAPE = (3, 32, 32)
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("vit", {}),
    "vit, frozen": ("vit", {"freeze_embeddings": True, "freeze_layers": 2}),
    "vit, LoRA": ("vit", {"lora_rank": 2, "freeze_layers": 1}),
    "resnet, frozen": ("resnet", {"freeze_embeddings": True, "freeze_layers": 3}),
    "convnext, LoRA": ("convnext", {"lora_rank": 2, "freeze_layers": 2}),
    "swin, random": ("swin", {"scratch": True}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_script_has_the_same_network(variant: str, tmp_path: Path) -> None:
    kind, fields = VARIANTS[variant]
    folder = classifiers.saved(kind, tmp_path)
    layer = {"kind": "pretrained_image", "source": str(folder), "num_labels": 4, **fields}
    spec = ModelSpec.model_validate({"layers": [layer]})
    code = pytorch_code(spec, SHAPE, 4)
    scope: dict[str, Any] = {"__name__": "exported"}
    exec(compile(code, "exported.py", "exec"), scope)
    ours, theirs = build(spec, SHAPE, seed=0), scope["Net"]()
    state = {name.removeprefix("0."): value for name, value in ours.state_dict().items()}
    theirs.load_state_dict({n: v for n, v in state.items() if "weights_mark" not in n}, strict=False)
    x = torch.rand(2, *SHAPE)
    with torch.no_grad():
        assert torch.allclose(theirs.eval()(x), ours.eval()(x), atol=1e-5)
    learning = {n.removeprefix("0.") for n, p in ours.named_parameters() if p.requires_grad}
    assert {n for n, p in theirs.named_parameters() if p.requires_grad} == learning
    assert sum(p.numel() for p in theirs.parameters()) == spec.n_params(SHAPE)


def test_layers_around_it_are_refused(tmp_path: Path) -> None:
    folder = classifiers.saved("resnet", tmp_path)
    layers = [{"kind": "pretrained_image", "source": str(folder)}, {"kind": "dropout"}]
    with pytest.raises(SpecError, match="stands alone"):
        pytorch_code(ModelSpec.model_validate({"layers": layers}), SHAPE, 2)
