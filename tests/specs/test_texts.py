"""Stacks on texts: what cannot work is told at its place with its repair, the articles' bugs among it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.models import sequences
from tests.specs.test_groups import quick
from workbench.models.build import build
from workbench.specs.base import Pair, Tokens
from workbench.specs.edits import apply_to
from workbench.specs.errors import SpecError
from workbench.specs.model import ModelSpec
from workbench.specs.run import from_dict

TEXT = Tokens(8, 20)
PAIR = Pair(Tokens(8, 20), Tokens(7, 15))
EMBED = {"kind": "embedding", "embedding_dim": 8}
POOL = {"kind": "sequence_pool"}
PLACES = {"kind": "positions"}


def model(*layers, **more) -> ModelSpec:
    return ModelSpec.model_validate({"layers": layers, **more})


def linear(n: int):
    return {"kind": "linear", "out_features": n}


def encoder(**more):
    return {"kind": "transformer_encoder_layer", "nhead": 2, "dim_feedforward": 16, **more}


def looking(**more):
    return {**encoder(**more), "kind": "transformer_decoder_layer"}


def errors(stack: ModelSpec, shape, n: int, **more):
    return [p for p in stack.problems(shape, n, **more) if p.severity == "error"]


@pytest.mark.parametrize(
    ("layers", "sentence", "label"),
    [
        (
            [{"kind": "lstm"}, POOL, linear(3)],
            "layer 0 (lstm): lstm needs numbers to reckon with, but it gets 8 tokens of 20. "
            "Put an embedding before it.",
            "Insert embedding before it",
        ),
        (  # S4: its width is not divisible by its heads
            [EMBED, encoder(nhead=3), POOL, linear(3)],
            "layer 1 (transformer_encoder_layer): nhead must divide the width (d_model), but 3 heads and a "
            "width of 8. Set nhead from 3 to 4.",
            "Set nhead to 4",
        ),
        (
            [EMBED, {"kind": "lstm"}, linear(3)],
            "layer 2 (linear): the last layer must give one score per class (3) for the whole text, but it "
            "gives a sequence, 8×3. Insert sequence_pool before the last linear.",
            "Insert sequence_pool before the last linear",
        ),
        (
            [EMBED, POOL, encoder(), linear(3)],
            "layer 2 (transformer_encoder_layer): transformer_encoder_layer needs a sequence of features "
            "(L, D), but it gets 8. Move it before the layer that makes a vector of the sequence, or "
            "remove it.",
            "Move it before sequence_pool",
        ),
        (
            [EMBED, looking(), POOL, linear(3)],
            "layer 1 (transformer_decoder_layer): transformer_decoder_layer looks at what an encoder read, "
            "but there is none before it. Use it in a decoder, and here a layer without.",
            "Use transformer_encoder_layer instead",
        ),
        (
            [EMBED, {"kind": "conv1d", "kernel_size": 12}, POOL, linear(3)],
            "layer 1 (conv1d): conv1d needs an input at least as large as its window, but the window spans "
            "12 pixels and the input is 8 with padding 0. Use a smaller kernel, more padding, or fewer "
            "pooling layers before it.",
            "Set padding to 2",
        ),
    ],
)
def test_a_stack_on_texts_that_cannot_work_is_explained_and_mended(layers, sentence, label):
    stack = model(*layers)
    problem = errors(stack, TEXT, 3)[0]
    assert problem.sentence() == sentence
    assert problem.fix.label == label
    mended = ModelSpec.model_validate(apply_to(stack.model_dump(mode="json"), problem.fix))
    assert errors(mended, TEXT, 3) == []


@pytest.mark.parametrize(
    ("layer", "label"),
    [
        (encoder(), "Set causal to True"),  # S3: no causal mask
        ({"kind": "multihead_attention"}, "Set causal to True"),
        ({"kind": "lstm", "hidden_size": 8, "bidirectional": True}, "Set bidirectional to False"),
        ({"kind": "conv1d", "out_channels": 8, "padding": 1}, "Set causal to True"),
        ({"kind": "class_token"}, "Remove class_token"),
    ],
)
@pytest.mark.parametrize("in_decoder", [False, True])
def test_a_model_of_the_next_token_must_not_see_it(layer, label, in_decoder):
    if in_decoder:
        tail = [EMBED, PLACES, layer, looking(), linear(15)]
        stack, shape, n = model(EMBED, PLACES, encoder(), decoder=tail), PAIR, 15
    else:
        stack, shape, n = model(EMBED, PLACES, layer, linear(20)), TEXT, 20
    found = errors(stack, shape, n, per_token=True)
    problem = next(p for p in found if p.fix.label == label)
    mended = apply_to(stack.model_dump(mode="json"), problem.fix)
    assert errors(ModelSpec.model_validate(mended), shape, n, per_token=True) == []


def test_attention_without_positions_is_a_doubt():
    stack = model(EMBED, encoder(), POOL, linear(3))
    (problem,) = stack.problems(TEXT, 3)
    assert problem.severity == "warning"
    assert problem.rule == "attention does not know the order of the tokens by itself"
    mended = apply_to(stack.model_dump(mode="json"), problem.fix)
    assert mended["layers"][1]["kind"] == "positions"
    assert ModelSpec.model_validate(mended).problems(TEXT, 3) == []
    assert model(EMBED, encoder(rotary=True), POOL, linear(3)).problems(TEXT, 3) == []


def test_the_encoder_of_a_translator_is_looked_through_too():
    stack = model(EMBED, encoder(), decoder=[EMBED, PLACES, looking(), linear(15)])
    (problem,) = stack.problems(PAIR, 15)
    assert problem.where == "layer 0 (embedding)"
    assert problem.fix.edits[0].path == (1,)


def test_a_softmax_before_the_loss_of_every_token_is_a_doubt():
    stack = model(EMBED, {"kind": "gru", "hidden_size": 8}, linear(20), {"kind": "softmax"})
    (problem,) = stack.problems(TEXT, 20, per_token=True)
    assert problem.severity == "warning"
    assert problem.fix.label == "Remove softmax"


def test_encoder_and_decoder_must_be_equally_wide():
    stack = model(EMBED, {"kind": "lstm", "hidden_size": 6}, decoder=[EMBED, looking(), linear(15)])
    problem = errors(stack, PAIR, 15)[0]
    assert problem.where == "layer decoder.1 (transformer_decoder_layer)"
    assert problem.fact == "the encoder gives 6 features a step, and transformer_decoder_layer needs 8"
    mended = ModelSpec.model_validate(apply_to(stack.model_dump(mode="json"), problem.fix))
    assert mended.layers[-1].out_features == 8
    assert errors(mended, PAIR, 15) == []


def test_a_decoder_that_never_looks_is_a_doubt():
    stack = model(EMBED, decoder=[EMBED, {"kind": "lstm", "hidden_size": 8}, linear(15)])
    (problem,) = stack.problems(PAIR, 15)
    assert problem.where == "model.decoder"
    mended = ModelSpec.model_validate(apply_to(stack.model_dump(mode="json"), problem.fix))
    assert mended.problems(PAIR, 15) == []


def test_s3_a_dropout_given_as_a_number_of_layers_is_refused_at_its_place():
    layers = [EMBED, {"kind": "repeat", "times": 0.1, "layers": [encoder()]}]
    with pytest.raises(SpecError) as refusal:
        from_dict({"name": "x", "model": {"layers": layers}})
    (problem,) = refusal.value.problems
    assert problem.where == "model.layers[1].times"


def test_s3_the_table_of_positions_is_as_long_as_the_texts():
    for length in (5, 50):
        rows = model(EMBED, PLACES).rows(Tokens(length, 20))
        assert rows[1].parameters == length * 8


@pytest.mark.parametrize(
    ("layers", "least", "any_length"),
    [
        ([EMBED, POOL], 1, True),
        ([EMBED, {"kind": "conv1d", "kernel_size": 5}, POOL], 5, True),
        ([EMBED, {"kind": "flatten"}], 8, False),
        ([EMBED, POOL, {"kind": "flatten"}], 1, True),  # of a vector: nothing is fixed
    ],
)
def test_the_shortest_text_that_a_stack_takes_is_known(layers, least, any_length):
    stack = model(*layers)
    assert (stack.least_length(TEXT), stack.any_length(TEXT)) == (least, any_length)
    both = model(*layers, decoder=[EMBED])
    assert (both.least_length(PAIR), both.any_length(PAIR)) == (least, any_length)


@pytest.mark.parametrize(("shape", "n", "per_token"), [(TEXT, 3, False), (TEXT, 20, True), (PAIR, 15, True)])
def test_an_empty_model_of_texts_starts_with_one_click(shape, n, per_token):
    problem = errors(ModelSpec(), shape, n, per_token=per_token)[0]
    stack = ModelSpec.model_validate(apply_to({}, problem.fix))
    assert stack.problems(shape, n, per_token=per_token) == []
    build(stack, shape, seed=0)


@pytest.mark.parametrize("task", ["classification", "language_model", "translation", "images"])
def test_applying_repairs_ends_in_a_model_of_texts_that_torch_runs(task):
    broken = 0

    @settings(quick, max_examples=70)
    @given(sequences.wild | sequences.texts, sequences.wild | sequences.decoders)
    def check(layers, decoder):
        nonlocal broken
        shape, n = {
            "classification": (TEXT, 3), "language_model": (TEXT, 20), "translation": (PAIR, 15),
            "images": ((1, 8, 8), 3),
        }[task]  # fmt: skip
        per_token = task in ("language_model", "translation")
        tree = ModelSpec(layers=layers, decoder=decoder if task == "translation" else ()).model_dump(
            mode="json"
        )
        for turn in range(80):
            found = errors(ModelSpec.model_validate(tree), shape, n, per_token=per_token)
            if not found:
                break
            broken += turn == 0
            assert found[0].fix, found[0]
            tree = apply_to(tree, found[0].fix)
        assert not found, (found, tree)
        build(ModelSpec.model_validate(tree), shape, seed=0)

    check()
    assert broken >= 25
