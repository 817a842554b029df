"""Layers of tables: shapes, parameters and results as torch and a sum by hand find them."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.running import sample
from workbench.export.code import pytorch_code
from workbench.models.build import build
from workbench.specs.base import Columns
from workbench.specs.model import ModelSpec

columns = st.builds(Columns, st.integers(1, 4), st.lists(st.integers(1, 9), max_size=3))
LINEAR = {"kind": "linear", "out_features": 2}
few = settings(deadline=None, max_examples=25)
POOL = {"kind": "sequence_pool", "mode": "first"}
BLOCK = {"kind": "transformer_encoder_layer", "nhead": 2, "dim_feedforward": 8}


def stack(*layers: dict[str, object]) -> ModelSpec:
    return ModelSpec.model_validate({"family": "mlp", "layers": layers})


@pytest.mark.parametrize(
    "layers",
    [
        [{"kind": "column_embedding", "embedding_dim": 3}, LINEAR],
        [{"kind": "column_tokens", "embedding_dim": 4}, {"kind": "class_token"}, BLOCK, POOL, LINEAR],
        [{"kind": "residual", "layers": [{"kind": "column_embedding"}, LINEAR],
          "shortcut": [{"kind": "column_tokens", "embedding_dim": 2}, POOL]}],
    ],
)  # fmt: skip
@few
@given(columns)
def test_shapes_and_parameters_are_those_that_torch_finds(
    layers: list[dict[str, object]], shape: Columns
) -> None:
    model = stack(*layers)
    built = build(model, shape, seed=0)
    assert tuple(built(sample(shape, 5)).shape[1:]) == model.out_shape(shape)
    assert sum(p.numel() for p in built.parameters()) == model.n_params(shape)


def test_embeddings_stand_beside_the_numbers_as_they_are() -> None:
    shape = Columns(2, (3, 5))
    layer = build(stack({"kind": "column_embedding", "embedding_dim": 2}), shape, seed=0)[0]
    x = torch.tensor([[0.5, -1.0, 2.0, 4.0]])
    expected = torch.cat([x[0, :2], layer.tables[0].weight[2], layer.tables[1].weight[4]])
    assert torch.equal(layer(x)[0], expected)


def test_a_number_is_a_multiple_of_its_columns_vector_and_a_category_has_its_own() -> None:
    shape = Columns(1, (3, 2))
    layer = build(stack({"kind": "column_tokens", "embedding_dim": 4}), shape, seed=0)[0]
    x = torch.tensor([[2.0, 1.0, 0.0]])
    expected = torch.stack([2.0 * layer.weight[0], layer.table[1], layer.table[3]]) + layer.bias
    assert torch.equal(layer(x)[0], expected)


def test_numbers_alone_are_columns_too() -> None:
    for kind, out in (("column_embedding", (3,)), ("column_tokens", (3, 64))):
        model = stack({"kind": kind})
        assert model.out_shape((3,)) == out
        assert tuple(build(model, (3,))(torch.randn(2, 3)).shape[1:]) == out


def test_codes_do_not_go_into_layers_that_reckon() -> None:
    shape = Columns(2, (3,))
    (problem,) = stack(LINEAR).problems(shape, 2)
    assert "which are codes" in problem.fact
    assert problem.fix is not None
    assert problem.fix.edits[0].layer == {"kind": "column_embedding"}
    (problem, *_) = stack({"kind": "residual", "layers": [{"kind": "column_embedding"}]}).problems(shape, 2)
    assert "column_embedding" in problem.repair


def test_columns_are_a_shape_and_more() -> None:
    assert Columns(3) == (3,)
    assert hash(Columns(3)) == hash((3,))
    assert Columns(2, (3,)) != (3,)
    assert Columns(2, (3,)) != Columns(2, (4,))
    assert pickle.loads(pickle.dumps(Columns(2, (3, 4)))) == Columns(2, (3, 4))


@few
@given(columns)
def test_exported_code_gives_the_same_numbers(shape: Columns) -> None:
    model = stack({"kind": "column_tokens", "embedding_dim": 4}, {"kind": "class_token"}, BLOCK, POOL, LINEAR)
    scope: dict[str, object] = {"__name__": "exported"}
    exec(compile(pytorch_code(model, shape, 2), "net.py", "exec", dont_inherit=True), scope)
    net = scope["Net"]()  # type: ignore[operator]
    built = build(model, shape, seed=1)
    net.layers.load_state_dict(built.state_dict())
    x = sample(shape, 5)
    assert torch.equal(net.eval()(x), built.eval()(x))
