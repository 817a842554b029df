"""The exported script, run as it stands, must be the model that the workbench trains."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from tests.models import sequences, stacks
from tests.models.running import sample
from workbench.export.code import pytorch_code
from workbench.models.build import build
from workbench.specs import starts
from workbench.specs.base import Columns, Pair, Tokens
from workbench.specs.errors import SpecError
from workbench.specs.layers import GROUPS, LAYERS
from workbench.specs.model import ModelSpec
from workbench.specs.nesting import every
from workbench.specs.presets import PRESETS, READY, preset


def executed(code: str):
    scope: dict[str, object] = {"__name__": "exported"}
    exec(compile(code, "exported.py", "exec", dont_inherit=True), scope)
    return scope["Net"]()


def same(model, shape, code: str) -> None:
    ours, theirs = build(model, shape, seed=0).eval(), executed(code).eval()
    assert sum(p.numel() for p in theirs.parameters()) == model.n_params(shape)
    theirs.layers.load_state_dict(ours.state_dict())
    x = sample(shape)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("name", sorted(READY))
def test_every_preset_runs_as_code_with_equal_outputs(name: str):
    shape = stacks.input_of(name)
    model = preset(name).spec.model
    same(model, shape, pytorch_code(model, shape, 10, PRESETS[name].title))


def test_random_stacks_run_as_code_with_equal_outputs():
    compared = {"taken": 0, "nested": 0, "kinds": set()}

    @settings(
        deadline=None, derandomize=True, database=None, max_examples=600,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(stacks.stacks, stacks.shapes)
    def check(rows, shape):
        model = stacks.model_of(rows)
        if model.rows(shape)[-1].out_shape is None:
            with pytest.raises(SpecError):
                pytorch_code(model, shape, 3)
            return
        compared["taken"] += 1
        compared["kinds"] |= {layer.kind for layer in every(rows)}
        compared["nested"] += any(row.children for row in model.rows(shape))
        same(model, shape, pytorch_code(model, shape, 3))

    check()
    assert compared["taken"] >= 150, compared
    assert compared["nested"] >= 30, compared
    assert len(compared["kinds"]) >= len(set(LAYERS) - stacks.SEQUENTIAL - stacks.TABULAR) - 5, compared


@pytest.mark.parametrize("kind", sorted(set(LAYERS) - stacks.APART))  # test_pretrained_code.py
def test_every_layer_runs_as_code_with_equal_outputs(kind: str):
    first = [{"kind": "flatten"}] if kind == "linear" else []
    first = [{"kind": "flatten"}, {"kind": "linear", "out_features": 98}] if kind == "unflatten" else first
    shape = (8, 8, 8)
    if kind in stacks.SEQUENTIAL - {"image_rows", "patch_embedding"}:
        first, shape = [{"kind": "embedding", "embedding_dim": 8}], Tokens(6, 20)
    layers = [*first, {"kind": kind}] if kind != "embedding" else first
    if kind in stacks.TABULAR:
        shape = Columns(3, (4, 5))
    if LAYERS[kind].needs_memory:  # looks at an encoder as wide as itself
        encoder = [{"kind": "embedding", "embedding_dim": 256 if kind == "lstm_decoder" else 8}]
        model = ModelSpec.model_validate({"layers": encoder, "decoder": layers})
        shape = Pair(shape, Tokens(6, 15))
    else:
        model = ModelSpec.model_validate({"layers": layers})
    same(model, shape, pytorch_code(model, shape, 3))


def test_random_stacks_on_texts_run_as_code_with_equal_outputs():
    compared = {"taken": 0, "kinds": set()}

    @settings(
        deadline=None, derandomize=True, database=None, max_examples=120,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(sequences.texts, sequences.tokens)
    def check(rows, shape):
        model = stacks.model_of(rows)
        if model.rows(shape)[-1].out_shape is None:
            return
        compared["taken"] += 1
        compared["kinds"] |= {layer.kind for layer in every(rows)}
        same(model, shape, pytorch_code(model, shape, 3))

    check()
    assert compared["taken"] >= 40, compared
    assert len({*sequences.BETWEEN, *GROUPS} - compared["kinds"]) <= 3, compared


def test_two_stacks_with_a_shared_table_run_as_code_with_equal_outputs():
    layers = {"layers": starts.encoder(16, 1), "decoder": starts.decoder(30, 16, 2), "tie_embeddings": True}
    model, shape = ModelSpec.model_validate(layers), Pair(Tokens(9, 40), Tokens(9, 30))
    code = pytorch_code(model, shape, 30)
    same(model, shape, code)
    net = executed(code)
    assert net.layers.decoder[4].weight is net.layers.decoder[0].table.weight


def test_a_gpts_code_begins_with_weights_as_small_as_ours():
    model, shape = ModelSpec.model_validate({"layers": starts.gpt(65, 32, 2)}), Tokens(16, 65)
    ours, theirs = build(model, shape, seed=0), executed(pytorch_code(model, shape, 65)).layers
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if mine.ndim == 2:
            assert other.std().item() == pytest.approx(mine.std().item(), rel=0.2), name


def test_code_for_texts_says_what_goes_in_and_comes_out():
    code = pytorch_code(ModelSpec.model_validate({"layers": starts.gpt(65, 32, 2)}), Tokens(16, 65), 65)
    assert "Input: (B, L) int64 ids, 0 for padding: 16 tokens of 65 at most." in code
    assert "Output: (B, L, 65) scores of the next token at every step" in code
    assert code.count("class TransformerLayer(nn.Module):") == 1
    assert "class Recurrent" not in code


def test_the_code_reads_as_one_would_write_it():
    model = preset("cnn-mnist").spec.model
    code = pytorch_code(model, (1, 28, 28), 10, "Two convolutions")
    assert "            nn.Conv2d(1, 32, kernel_size=3),   # 32×26×26\n" in code
    assert "nn.Linear(1600, 128)," in code
    assert "225,034 parameters" in code
    assert {n.names[0].name for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Import)} == {"torch"}


def test_groups_read_as_blocks_that_the_script_defines_itself():
    code = pytorch_code(preset("resnet-18").spec.model, (1, 32, 32), 10)
    assert code.count("class Residual(nn.Module):") == 1
    assert "class Parallel" not in code
    assert "            nn.Sequential(  " in code or "nn.Sequential(\n" in code
    assert "nn.Conv2d(64, 128, kernel_size=1, stride=2, bias=False)," in code


def test_equal_repetitions_read_as_a_loop():
    block = [{"kind": "conv2d", "out_channels": 4, "padding": 1}, {"kind": "relu"}]
    model = ModelSpec.model_validate({"layers": [{"kind": "repeat", "times": 3, "layers": block}]})
    code = pytorch_code(model, (4, 8, 8), 3)
    assert "for _ in range(3)" in code
    assert code.count("nn.Conv2d") == 1
    same(model, (4, 8, 8), code)
    same(model, (1, 8, 8), pytorch_code(model, (1, 8, 8), 3))  # the first repetition sees fewer channels


def test_a_hostile_title_stays_inside_the_docstring():
    title = '"""\nimport os; os.abort()\n\\"""\r\0 {shape}'
    code = pytorch_code(preset("mlp-tiny").spec.model, (1, 8, 8), 10, title)
    assert len([n for n in ast.parse(code).body if isinstance(n, ast.Import | ast.ImportFrom)]) == 2
    executed(code)


@pytest.mark.slow
def test_the_script_runs_by_itself(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(pytorch_code(preset("mlp-tiny").spec.model, (1, 8, 8), 10), encoding="utf-8")
    out = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True).stdout
    assert "5794 parameters" in out
    assert out.strip().endswith("(1, 10)")


def test_code_is_written_without_torch():
    script = "import sys, workbench.export.code; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
