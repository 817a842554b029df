"""Layers of sequences: shapes, parameters and mult-adds as torch and torchinfo find them; stacks of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.models import sequences, stacks
from tests.models.running import call, context_for, counted, sample
from tests.models.test_build import parameters, quick
from workbench.models.build import build, build_layer
from workbench.models.sequence import Context, Stack, real
from workbench.models.summary import summary
from workbench.specs.base import Pair, Tokens
from workbench.specs.errors import LayerError, SpecError
from workbench.specs.layers import GROUPS, LAYERS
from workbench.specs.model import ModelSpec
from workbench.specs.rows import first_problem, layer_at, walk


def model(*layers, **more) -> ModelSpec:
    return ModelSpec.model_validate({"layers": layers, **more})


@pytest.mark.parametrize("kind", [*sequences.KINDS, "window_norm"])
def test_a_layer_of_sequences_has_the_shape_parameters_and_mult_adds_that_torch_finds(kind: str):
    compared = {"taken": 0, "refused": 0}

    @quick
    @given(stacks.layer(kind), sequences.inputs)
    def check(layer, shape):
        try:
            out = layer.out_shape(shape)
        except LayerError as error:
            compared["refused"] += 1
            assert error.problems[0].rule, error  # noqa: PT017  (Hypothesis decides which way it goes)
            fits = not isinstance(shape, Tokens) and len(shape) == 2
            assert not fits or not works(layer, shape)  # of its own input it refuses what torch refuses
            return
        compared["taken"] += 1
        module, x = build_layer(layer, shape), sample(shape)
        assert tuple(call(module, x, context_for(x, layer, out)).shape[1:]) == out
        assert parameters(module) == layer.n_params(shape)
        context = context_for(x[:1], layer, out)
        if context.memory is not None:  # the table counts a source as long as the text
            context.memory = context.memory[:1]
        assert counted(Stack(module), x[:1], context=context) == layer.mult_adds(shape)

    check()
    assert compared["taken"] >= 10, compared


def works(layer, shape) -> bool:
    """Whether torch builds and runs it on (L, D). Groups refuse more than torch."""
    if layer.kind in ("embedding", "image_rows", "patch_embedding", *GROUPS):
        return False
    try:
        module, x = build_layer(layer, shape), sample(shape)
        if layer.kind == "conv1d":  # ours widens a batch of short texts, which torch refuses
            nn.Conv1d.forward(module, x.transpose(1, 2))
        out = call(module, x, context_for(x, layer, shape))
    except (RuntimeError, ValueError, UserWarning):
        return False
    halved = getattr(layer, "rotary", False)  # an odd width loses its last number there, without a word
    return not halved and (layer.kind != "positions" or out.shape == x.shape)


@pytest.mark.parametrize("kind", ["conv1d", "multihead_attention", "transformer_encoder_layer", "linear"])
def test_mult_adds_are_the_products_that_torch_does(kind: str):
    """torch's own counter of floating-point operations, which leaves biases and norms out."""
    shape = (6, 8)
    layer = LAYERS[kind](**({"bias": False} if kind != "sequence_pool" else {}))
    module, x = build_layer(layer, shape).eval(), sample(shape, 1)
    with FlopCounterMode(display=False) as found, sdpa_kernel(SDPBackend.MATH):
        call(module, x, context_for(x, layer, shape))
    norms = sum(p.numel() for m in module.modules() if isinstance(m, nn.LayerNorm) for p in m.parameters())
    assert found.get_total_flops() == 2 * (layer.mult_adds(shape) - norms * shape[0])


def test_random_stacks_of_sequences_agree_with_torch_or_are_refused_with_a_repair():
    compared = {"taken": 0, "refused": 0, "nested": 0, "kinds": set()}

    @settings(quick, max_examples=300)
    @given(
        st.tuples(sequences.texts, sequences.tokens)
        | st.tuples(sequences.texts, sequences.tokens)
        | st.tuples(sequences.wild, sequences.inputs)
    )
    def check(both):
        rows, shape = both
        stack = ModelSpec(layers=rows)
        table = stack.rows(shape)
        fault = next((row for row in walk(table) if row.problem), None)
        if fault:
            compared["refused"] += 1
            layer = layer_at(rows, fault.path)
            assert fault.problem.where == f"layer {fault.label} ({layer.kind})"
            assert fault.problem.fix, fault.problem
            with pytest.raises(SpecError) as refusal:
                build(stack, shape)
            assert refusal.value.problems == (fault.problem,)
            return
        compared["taken"] += 1
        compared["nested"] += any(row.children for row in table)
        compared["kinds"] |= {row.kind for row in walk(table)}
        module = build(stack, shape, seed=0).eval()
        x = y = sample(shape)
        context = Context(mask=real(x))
        for row, child in zip(table, module, strict=True):
            y = call(child, y, context)
            assert tuple(y.shape[1:]) == row.out_shape
            assert parameters(child) == row.parameters
        with torch.no_grad():
            assert torch.equal(module(x), y)
        assert counted(module, x[:1]) == sum(row.mult_adds for row in table)
        assert parameters(module) == stack.n_params(shape)

    check()
    assert compared["taken"] >= 100, compared
    assert compared["refused"] >= 60, compared
    assert compared["nested"] >= 40, compared
    assert compared["kinds"] >= set(sequences.BETWEEN) | {"embedding"}, compared


def test_random_pairs_of_stacks_agree_with_torch_or_are_refused_with_a_repair():
    compared = {"taken": 0, "refused": 0, "kinds": set()}

    @settings(quick, max_examples=160)
    @given(sequences.encoders, sequences.decoders, sequences.tokens, sequences.tokens)
    def check(encoder, decoder, source, target):
        shape = Pair(source, target)
        stack = ModelSpec(layers=encoder, decoder=decoder)
        table = stack.rows(shape)
        assert [row.path for row in table] == [
            *((i,) for i in range(len(encoder))),
            *(("decoder", i) for i in range(len(decoder))),
        ]
        problem = first_problem(table)
        if problem:
            compared["refused"] += 1
            assert problem.fix, problem
            with pytest.raises(SpecError):
                build(stack, shape)
            return
        compared["taken"] += 1
        compared["kinds"] |= {row.kind for row in walk(table)}
        module = build(stack, shape, seed=0).eval()
        assert parameters(module) == stack.n_params(shape)
        with torch.no_grad():
            memory, mask = module.encode(sample(source))
            assert tuple(module.decode(sample(target), memory, mask).shape[1:]) == stack.out_shape(shape)

    check()
    assert compared["taken"] >= 60, compared
    assert compared["refused"] >= 20, compared
    assert {"transformer_decoder_layer", "lstm_decoder"} <= compared["kinds"]


# ---------------------------------------------------------------- figures others have published

SEQ = (16, 512)


def encoder_layer(heads: int, inner: int, **more):
    return {"kind": "transformer_encoder_layer", "nhead": heads, "dim_feedforward": inner, **more}


def repeat(times: int, layer):
    return {"kind": "repeat", "times": times, "layers": [layer]}


@pytest.mark.parametrize(
    ("stack", "shape", "parameters"),
    [
        (  # S2: rows of an image, two LSTM layers, the last step
            model(
                {"kind": "image_rows"},
                {"kind": "lstm", "hidden_size": 128, "num_layers": 2},
                {"kind": "sequence_pool", "mode": "last"},
                {"kind": "linear", "out_features": 10},
            ),
            (1, 28, 28),
            214_282,
        ),
        (model(repeat(6, encoder_layer(8, 2048))), (16, 512), 18_914_304),  # S4
        (model(repeat(2, encoder_layer(4, 512))), (16, 128), 396_544),  # S4
        (  # torchinfo, tests/test_output/lstm.out
            model(
                {"kind": "embedding", "embedding_dim": 300},
                {"kind": "lstm", "hidden_size": 512, "num_layers": 2},
                {"kind": "linear", "out_features": 20},
            ),
            Tokens(100, 20),
            3_784_580,
        ),
    ],
)
def test_a_known_network_of_sequences_has_its_published_parameters(stack, shape, parameters):
    assert stack.n_params(shape) == parameters


@pytest.mark.parametrize(
    ("width", "heads", "times", "inner", "parameters"),
    [(512, 8, 6, 2048, 44_140_544), (64, 4, 2, 256, 233_728)],
)
def test_s3_two_stacks_with_final_norms_hold_what_torchs_transformer_holds(
    width, heads, times, inner, parameters
):
    vocabulary = 11
    decoder_layer = {**encoder_layer(heads, inner), "kind": "transformer_decoder_layer"}
    embedding, norm = {"kind": "embedding", "embedding_dim": width}, {"kind": "layer_norm"}
    stack = model(
        embedding, repeat(times, encoder_layer(heads, inner)), norm,
        decoder=[embedding, repeat(times, decoder_layer), norm],
    )  # fmt: skip
    shape = Pair(Tokens(8, vocabulary), Tokens(8, vocabulary))
    assert stack.n_params(shape) == parameters + 2 * vocabulary * width
    if width < 100:
        torchs = nn.Transformer(width, heads, times, times, inner, batch_first=True)
        assert sum(p.numel() for p in torchs.parameters()) == parameters


def test_a_shared_table_counts_once():
    layers = [
        {"kind": "embedding", "embedding_dim": 8},
        {"kind": "lstm", "hidden_size": 8},
        {"kind": "linear", "out_features": 50},
    ]
    shape = Tokens(6, 50)
    apart, tied = model(*layers), model(*layers, tie_embeddings=True)
    assert apart.n_params(shape) - tied.n_params(shape) == 50 * 8
    built = build(tied, shape, seed=0)
    assert built[2].weight is built[0].table.weight
    assert sum(p.numel() for p in built.parameters()) == tied.n_params(shape)


@pytest.mark.parametrize(
    ("stack", "shape"),
    [
        (model({"kind": "embedding"}, encoder_layer(4, 64), {"kind": "sequence_pool"}), Tokens(9, 30)),
        (
            model(
                {"kind": "embedding", "embedding_dim": 8}, {"kind": "lstm", "hidden_size": 8},
                decoder=[{"kind": "embedding"}, {"kind": "lstm_decoder", "hidden_size": 8}],
            ),
            Pair(Tokens(9, 30), Tokens(7, 20)),
        ),
    ],
)  # fmt: skip
def test_torchinfo_summarises_networks_of_texts(stack, shape):
    found = summary(stack, shape)
    assert found.parameters == stack.n_params(shape)
    assert "Embedding" in found.text
