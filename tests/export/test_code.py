"""The exported script, run as it stands, must be the model that the workbench trains."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from tests.models import stacks
from workbench.export.code import pytorch_code
from workbench.models.build import build
from workbench.specs.errors import SpecError
from workbench.specs.layers import LAYERS
from workbench.specs.model import ModelSpec
from workbench.specs.nesting import every
from workbench.specs.presets import PRESETS, READY, preset


def executed(code: str):
    scope: dict[str, object] = {"__name__": "exported"}
    exec(compile(code, "exported.py", "exec"), scope)
    return scope["Net"]()


def same(model, shape, code: str) -> None:
    ours, theirs = build(model, shape, seed=0).eval(), executed(code).eval()
    assert sum(p.numel() for p in theirs.parameters()) == model.n_params(shape)
    theirs.layers.load_state_dict(ours.state_dict())
    x = torch.randn(2, *shape)
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
    assert len(compared["kinds"]) >= len(LAYERS) - 5, compared


@pytest.mark.parametrize("kind", sorted(set(LAYERS) - {"pretrained_text"}))  # test_pretrained_code.py
def test_every_layer_runs_as_code_with_equal_outputs(kind: str):
    first = [{"kind": "flatten"}] if kind == "linear" else []
    model = ModelSpec.model_validate({"layers": [*first, {"kind": kind}]})
    same(model, (8, 6, 6), pytorch_code(model, (8, 6, 6), 3))


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
