"""A pretrained encoder as a script: run, it has the weights and the scores of the one that is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import encoders
from tests.models.tuning import TEXTS, built, padded, shape_of, spec_for, tokenizer_of
from workbench.export.code import pytorch_code
from workbench.specs.errors import SpecError
from workbench.specs.model import ModelSpec

VARIANTS: dict[str, dict[str, Any]] = {
    "cls": {"freeze_embeddings": True, "freeze_layers": 2},
    "mean": {"pooling": "mean", "freeze_layers": 1},
    "LoRA": {"lora_rank": 2, "freeze_layers": 1},
    "random": {"scratch": True},
}


def same(kind: str, options: dict[str, Any], folder: Path, scope: dict[str, Any]) -> None:
    encoders.saved(kind, folder)
    model, shape = spec_for(folder, **options).model, shape_of(folder)
    code = pytorch_code(model, shape, 3, 'A "title" \\ of\nlines')
    exec(compile(code, "script", "exec"), scope)
    theirs, ours = scope["Net"]().eval(), built(folder, **options).eval()
    assert f"{model.n_params(shape):,} parameters" in code
    assert sum(p.numel() for p in theirs.parameters()) == model.n_params(shape)
    state = {name.removeprefix("0."): value for name, value in ours.state_dict().items()}
    theirs.load_state_dict({n: v for n, v in state.items() if "weights_mark" not in n}, strict=False)
    resting = {n for n, p in theirs.named_parameters() if not p.requires_grad}
    expected = {n.removeprefix("0.") for n, p in ours.named_parameters() if not p.requires_grad}
    if options.get("lora_rank") is None:
        assert resting == expected
    x = padded(tokenizer_of(folder).encode_many(TEXTS))
    with torch.no_grad():
        pad = ours[0].pad
        ids = torch.where(x == 0, pad, torch.where(x == pad, 0, x)) if pad else x
        assert torch.equal(theirs(ids, x.ne(0).long()), ours(x))


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_the_script_gives_the_scores_that_are_trained(variant: str, tmp_path: Path):
    same("roberta", VARIANTS[variant], tmp_path / "m", {"__name__": "script"})


@pytest.mark.parametrize("kind", ["bert", "albert", "distilbert", "deberta-v2", "modernbert"])
def test_the_mean_is_written_for_every_style_of_head(kind: str, tmp_path: Path):
    same(kind, {"pooling": "mean"}, tmp_path / "m", {"__name__": "script"})


def test_the_script_runs_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    same("bert", {"pooling": "mean"}, tmp_path / "m", {"__name__": "__main__"})
    assert "parameters" in capsys.readouterr().out


def test_layers_behind_the_encoder_are_refused(tmp_path: Path):
    folder = encoders.saved("bert", tmp_path / "m")
    layers = [{"kind": "pretrained_text", "source": str(folder)}, {"kind": "dropout"}]
    with pytest.raises(SpecError, match="where it stands alone"):
        pytorch_code(ModelSpec.model_validate({"layers": layers}), shape_of(folder), 2)
