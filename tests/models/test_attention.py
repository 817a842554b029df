"""Attention, padding, order and cache: what a sequence model must not get wrong, held against torch.nn."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from tests.models import sequences
from tests.models.running import sample
from tests.models.test_build import quick
from workbench.models.attention import SelfAttention, TransformerLayer
from workbench.models.build import build
from workbench.models.sequence import Cache, Context
from workbench.specs.base import Pair, Tokens
from workbench.specs.model import ModelSpec
from workbench.specs.rows import walk

B, L, D, H, INNER = 3, 7, 12, 3, 20
REAL = torch.tensor([[True] * 7, [True] * 4 + [False] * 3, [True] + [False] * 6])


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> bool:
    return torch.allclose(a, b, atol=tolerance, rtol=1e-4)


def copy_attention(ours: nn.Module, theirs: nn.MultiheadAttention) -> None:
    """torch's weights into ours, of self-attention or of attention over an encoder's output."""
    weight, bias = theirs.in_proj_weight, theirs.in_proj_bias
    with torch.no_grad():
        if isinstance(ours, SelfAttention):
            parts = [(ours.in_proj, weight, bias)]
        else:
            parts = [(ours.query, weight[:D], bias[:D]), (ours.key_value, weight[D:], bias[D:])]
        for module, w, b in [*parts, (ours.out_proj, theirs.out_proj.weight, theirs.out_proj.bias)]:
            module.weight.copy_(w)
            module.bias.copy_(b)


def copy_layer(ours: TransformerLayer, theirs: nn.Module) -> None:
    copy_attention(ours.self_attn, theirs.self_attn)
    norms = [theirs.norm1, theirs.norm2]
    if ours.cross_attn is not None:
        copy_attention(ours.cross_attn, theirs.multihead_attn)
        norms.append(theirs.norm3)
    pairs = [(ours.linear1, theirs.linear1), (ours.linear2, theirs.linear2)]
    for mine, other in [*pairs, *zip(ours.norms, norms, strict=True)]:
        mine.load_state_dict(other.state_dict())


def shaken(module: nn.Module) -> nn.Module:
    """Every weight random, biases and norms too, so that a wrong one cannot hide."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.eval()


@pytest.mark.parametrize("causal", [False, True])
def test_attention_gives_the_values_and_weights_of_torchs_for_equal_weights(causal):
    torch.manual_seed(0)
    theirs = shaken(nn.MultiheadAttention(D, H, batch_first=True))
    ours = SelfAttention(D, H, causal=causal).eval()
    copy_attention(ours, theirs)
    x = torch.randn(B, L, D)
    ahead = torch.ones(L, L, dtype=torch.bool).triu(1) if causal else None
    hidden = None if causal else ~REAL
    with torch.no_grad():
        wanted, weights = theirs(
            x, x, x, key_padding_mask=hidden, attn_mask=ahead, average_attn_weights=False
        )
        context = Context(mask=REAL)
        assert close(ours(x, context), wanted)
        assert close(ours.attention_weights(x, context), weights)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_an_encoder_layer_is_torchs_for_equal_weights(norm_first, activation):
    torch.manual_seed(0)
    theirs = shaken(
        nn.TransformerEncoderLayer(
            D, H, INNER, activation=activation, norm_first=norm_first, batch_first=True
        )
    )
    ours = TransformerLayer(D, H, INNER, activation=activation, norm_first=norm_first).eval()
    copy_layer(ours, theirs)
    x = torch.randn(B, L, D)
    with torch.no_grad():
        wanted, found = theirs(x, src_key_padding_mask=~REAL), ours(x, Context(mask=REAL))
    assert close(found[REAL], wanted[REAL])
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_decoder_layer_is_torchs_for_equal_weights(norm_first):
    torch.manual_seed(0)
    theirs = shaken(nn.TransformerDecoderLayer(D, H, INNER, norm_first=norm_first, batch_first=True))
    ours = TransformerLayer(D, H, INNER, norm_first=norm_first, is_decoder=True).eval()
    copy_layer(ours, theirs)
    x, memory = torch.randn(B, 5, D), torch.randn(B, L, D)
    ahead = torch.ones(5, 5, dtype=torch.bool).triu(1)
    with torch.no_grad():
        wanted = theirs(x, memory, tgt_mask=ahead, memory_key_padding_mask=~REAL)
        context = Context(memory=memory, memory_mask=REAL)
        assert close(ours(x, context), wanted)
        weights = ours.attention_weights(x, context)
    assert weights["self"].shape == (B, H, 5, 5)
    assert weights["cross"].shape == (B, H, 5, L)
    for found in weights.values():
        assert close(found.sum(dim=3), torch.ones(B, H, 5))
    assert float(weights["self"].triu(1).abs().max()) == 0.0
    assert float(weights["cross"][1, :, :, 4:].abs().max()) == 0.0


# ---------------------------------------------------------------- padding, order, cache


def test_padding_changes_nothing():
    """A text gives the same scores alone and beside longer ones, whatever the stack."""
    seen = {"compared": 0, "kinds": set()}

    @settings(quick, max_examples=200)
    @given(sequences.texts | sequences.texts | sequences.fitting(), sequences.tokens)
    def check(rows, shape):
        stack = sequences.pooled(rows, shape)
        if stack.rows(shape)[-1].out_shape is None or not stack.any_length(shape):
            return
        least = stack.least_length(shape)
        module = build(stack, shape, seed=0).eval()
        x = sample(shape, 1)
        for length in range(1, shape.length + 1):
            text = x.clone()
            text[:, length:] = 0
            with torch.no_grad():
                padded = module(text)
                for width in {length, max(length, least)}:
                    assert close(module(text[:, :width]), padded, 1e-4), length
            seen["compared"] += length < shape.length
        seen["kinds"] |= {row.kind for row in walk(stack.rows(shape))}

    check()
    assert seen["compared"] >= 100, seen
    assert {"conv1d", "lstm", "class_token", "transformer_encoder_layer"} <= seen["kinds"], seen


def sees_ahead(stack: ModelSpec, shape: Tokens) -> bool:
    """Whether the scores at a step change with a token behind it."""
    module, x = build(stack, shape, seed=0).eval(), sample(shape, 1)
    with torch.no_grad():
        before = module(x)
        for step in range(1, shape.length):
            changed = x.clone()
            changed[:, step] = changed[:, step] % (shape.vocabulary - 1) + 1
            if not close(module(changed)[:, :step], before[:, :step]):
                return True
    return False


def test_what_is_taken_as_a_language_model_never_sees_ahead():
    seen = {"causal": 0, "refused": 0, "ahead": 0}

    @settings(quick, max_examples=200)
    @given(sequences.fitting() | sequences.texts | sequences.fitting(causal=True), sequences.tokens)
    def check(rows, shape):
        stack = ModelSpec(layers=rows)
        out = stack.rows(shape)[-1].out_shape
        if out is None or len(out) != 2 or out[0] != shape.length:
            return
        told = stack.problems(shape, out[1], per_token=True)
        if any(p.severity == "error" for p in told):
            seen["refused"] += 1
            seen["ahead"] += sees_ahead(stack, shape)
            return
        seen["causal"] += 1
        assert not sees_ahead(stack, shape)

    check()
    assert seen["causal"] >= 40, seen
    assert seen["ahead"] >= 5, seen


def test_with_a_cache_the_scores_are_those_without():
    compared = 0

    @settings(quick, max_examples=100)
    @given(sequences.fitting(causal=True), sequences.tokens)
    def check(rows, shape):
        nonlocal compared
        stack = ModelSpec(layers=rows)
        if stack.rows(shape)[-1].out_shape is None:
            return
        module, x = build(stack, shape, seed=0).eval(), sample(shape)
        with torch.no_grad():
            whole, cache = module(x), Cache()
            cuts = [0, min(2, shape.length), *range(3, shape.length + 1)]
            pieces = [module(x[:, a:b], cache=cache) for a, b in pairwise(cuts)]
        assert close(torch.cat(pieces, dim=1), whole, 1e-4)
        assert cache.length == shape.length
        compared += shape.length > 2

    check()
    assert compared >= 30, compared


@pytest.mark.parametrize(
    "looking",
    [
        {"kind": "transformer_decoder_layer", "nhead": 2, "dim_feedforward": 16},
        {"kind": "transformer_decoder_layer", "nhead": 2, "dim_feedforward": 16, "rotary": True},
        {"kind": "lstm_decoder", "hidden_size": 8, "num_layers": 2},
    ],
)
def test_a_decoder_with_a_cache_follows_its_beams(looking):
    embedding = {"kind": "embedding", "embedding_dim": 8}
    stack = ModelSpec.model_validate(
        {
            "layers": [embedding, {"kind": "lstm", "hidden_size": 8}],
            "decoder": [embedding, {"kind": "positions"}, looking, {"kind": "linear", "out_features": 13}],
        }
    )
    module = build(stack, Pair(Tokens(6, 11), Tokens(6, 13)), seed=0).eval()
    source, ids = sample(Tokens(6, 11), 3), sample(Tokens(5, 13), 3)
    source[1, 3:] = 0
    order = torch.tensor([1, 1, 0])
    with torch.no_grad():
        memory, mask = module.encode(source)
        whole, cache = module.decode(ids, memory, mask), Cache()
        steps = [module.decode(ids[:, i : i + 1], memory, mask, cache) for i in range(3)]
        assert close(torch.cat(steps, dim=1), whole[:, :3])
        cache.reorder(order)
        after = module.decode(ids[order, 3:4], memory[order], mask[order], cache)
        assert close(after[:, 0], whole[order, 3])
        x = torch.zeros(3, 2, 6, dtype=torch.int64)
        x[:, 0], x[:, 1, :5] = source, ids
        assert close(module(x)[:, :5], whole)
