"""A Vision Transformer of our blocks is that of `transformers`: same weights, same scores, same attention."""

from __future__ import annotations

import pytest
import torch

from workbench.models.build import build
from workbench.probes.attention import attention_of
from workbench.specs.model import ModelSpec
from workbench.specs.vision_presets import vit


@pytest.fixture(scope="module")
def both():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48, image_size=20,
        patch_size=5, num_channels=3, layer_norm_eps=1e-5, num_labels=7, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.ViTForImageClassification(config).eval()
    for parameter in theirs.parameters():  # biases and tokens begin at zero, which would hide a mix-up
        torch.nn.init.normal_(parameter, std=0.2)
    ours = build(ModelSpec.model_validate({"layers": vit(5, 32, 3, 4, 48, 7)}), (3, 20, 20), seed=1).eval()
    ours.load_state_dict(moved(theirs.state_dict()))
    return ours, theirs


def moved(theirs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Hugging Face's weights under our names."""
    base = "vit."
    found = {
        "0.weight": theirs[f"{base}embeddings.patch_embeddings.projection.weight"],
        "0.bias": theirs[f"{base}embeddings.patch_embeddings.projection.bias"],
        "1.weight": theirs[f"{base}embeddings.cls_token"].flatten(),
        "2.weight": theirs[f"{base}embeddings.position_embeddings"][0],
    }
    layers = sorted({k[: k.index("layernorm_before")] for k in theirs if "layernorm_before" in k})
    for i, layer in enumerate(layers):
        own = {k.removeprefix(layer): v for k, v in theirs.items() if k.startswith(layer)}
        part = {k: next(n for n in own if n.endswith(f"{k}.weight")).removesuffix(".weight") for k in
                ("layernorm_before", "layernorm_after")}  # fmt: skip
        linears = [k.removesuffix(".weight") for k, v in own.items() if k.endswith("weight") and v.ndim == 2]
        query, key, value, out, first, second = linears
        for kind in ("weight", "bias"):
            joined = torch.cat([own[f"{name}.{kind}"] for name in (query, key, value)])
            found |= {
                f"3.{i}.0.self_attn.in_proj.{kind}": joined,
                f"3.{i}.0.self_attn.out_proj.{kind}": own[f"{out}.{kind}"],
                f"3.{i}.0.linear1.{kind}": own[f"{first}.{kind}"],
                f"3.{i}.0.linear2.{kind}": own[f"{second}.{kind}"],
                f"3.{i}.0.norms.0.{kind}": own[f"{part['layernorm_before']}.{kind}"],
                f"3.{i}.0.norms.1.{kind}": own[f"{part['layernorm_after']}.{kind}"],
            }
    for kind in ("weight", "bias"):
        found[f"4.{kind}"] = theirs[f"{base}layernorm.{kind}"]
        found[f"6.{kind}"] = theirs[f"classifier.{kind}"]
    return found


def test_it_has_the_scores_of_transformers(both):
    ours, theirs = both
    x = torch.randn(5, 3, 20, 20, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x).logits, atol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_it_attends_as_transformers_does(both):
    ours, theirs = both
    x = torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = theirs(x, output_attentions=True).attentions
    seen = attention_of(ours, x)
    assert list(seen) == ["3.0.0", "3.1.0", "3.2.0"]
    for mine, other in zip(seen.values(), expected, strict=True):
        assert torch.allclose(mine, other, atol=1e-5)
