"""The check before a run: the numbers are torch's, and what cannot work is said with its repair."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench import catalog
from workbench.jobs import check as checking
from workbench.jobs.check import check
from workbench.jobs.runs import submit
from workbench.specs.errors import DataError, SpecError
from workbench.specs.presets import READY, preset
from workbench.store import Store, open_store


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


@pytest.mark.parametrize("name", sorted(READY))
def test_every_preset_can_run(store: Store, name: str) -> None:
    assert check(store, preset(name).spec).ok


def test_the_published_parameter_counts_come_out(store: Store) -> None:
    assert check(store, preset("cnn-mnist").spec).parameters == 225_034
    assert check(store, preset("cnn-rgb").spec).parameters == 315_722
    assert check(store, preset("cnn-compact").spec).parameters == 34_826


def test_the_json_is_the_contract(store: Store) -> None:
    report = json.loads(json.dumps(check(store, preset("cnn-mnist").spec).to_json()))
    assert {"ok", "parameters", "layers", "problems"} <= report.keys()
    assert report["layers"][0] == {
        "index": 0, "kind": "conv2d", "out_shape": [32, 26, 26], "parameters": 320, "mult_adds": 216_320,
    }  # fmt: skip


def test_the_first_layer_that_cannot_work_is_named_and_the_rest_left_open(store: Store) -> None:
    report = check(store, preset("cnn-digits").spec.with_changes("model.layers.0.kernel_size=31"))
    assert not report.ok
    assert report.problems[0].where == "layer 0 (conv2d)"
    assert report.to_json()["layers"][0]["out_shape"] is None


@pytest.mark.parametrize(
    ("told", "mended"),
    [("[0.1,0.9]", "[0.1, 0.5, 0.9]"), ("[0.9]", "[0.5, 0.9]"), ("[0.1,0.4,0.6]", "[0.1, 0.4, 0.5, 0.6]")],
)
def test_a_band_without_the_forecast_is_read_but_not_launched(store: Store, told: str, mended: str) -> None:
    spec = preset("quantile-forecast").spec.with_changes(f"task.quantiles={told}")
    with pytest.raises(SpecError) as refused:
        submit(store, spec)
    (problem,) = [p for p in refused.value.problems if p.where == "task.quantiles"]
    assert problem.repair == f"Set task.quantiles to {mended}."
    fixed = spec.with_changes(f"task.quantiles={mended}")
    assert "task.quantiles" not in [p.where for p in check(store, fixed).problems]
    assert "task.quantiles" not in [
        p.where for p in check(store, spec.with_changes("task.loss=mae")).problems
    ]


@pytest.mark.parametrize(("name", "last"), [("mlp-big", "sigmoid"), ("cnn-digits", "softmax")])
def test_scores_squashed_twice_are_launched_only_where_that_is_said_to_be_meant(
    store: Store, name: str, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.jobs.runs.ensure_supervisor", lambda store, wait_s=0: None)
    spec = preset(name).spec
    layers = [*spec.model.model_dump(mode="json")["layers"], {"kind": last}]
    spec = spec.model_copy(update={"model": spec.model.model_validate({"layers": layers})})
    report = check(store, spec)
    (problem,) = [p for p in report.problems if "squashed twice" in p.fact]
    assert not report.ok
    assert problem.where == f"layer {len(layers) - 1} ({last})"
    assert problem.fix is not None
    with pytest.raises(SpecError, match="squashed twice"):
        submit(store, spec)
    meant = spec.with_changes("training.squashed_twice=true")
    assert check(store, meant).ok
    assert submit(store, meant)


def test_fp16_of_an_lstm_is_refused_on_a_cpu_and_of_a_gru_is_not(store: Store) -> None:
    for name, wrong in (("text-lstm", True), ("text-gru", False), ("lstm-seq2seq", True)):
        spec = preset(name).spec.with_changes("training.precision=fp16", "training.device=cpu")
        told = [p.rule for p in check(store, spec).problems if p.where == "training.precision"]
        assert told == (["on a CPU an LSTM computes in fp32 or bf16"] if wrong else [])


def test_a_missing_data_set_is_a_problem_and_not_a_crash(store: Store) -> None:
    report = check(store, preset("mlp-tiny").spec.with_changes("data.name=nowhere"))
    assert not report.ok
    assert report.problems[0].where == "data (data set `nowhere`)"


def test_a_gpu_that_is_not_there_is_said_before_the_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "gpu_count", lambda: 1)
    spec = preset("mlp-tiny").spec
    assert check(store, spec.with_changes("training.device='cuda:0'")).ok
    report = check(store, spec.with_changes("training.device='cuda:1'"))
    assert "this machine has 1 NVIDIA GPU" in report.problems[0].fact


def test_what_exceeds_the_whole_memory_is_refused(store: Store) -> None:
    spec = preset("cnn-mnist").spec.with_changes("training.batch_size=65536", "data.size=512")
    report = check(store, spec.with_changes("training.device=cpu"))
    assert [p.where for p in report.problems if p.severity == "error"] == ["training.batch_size"]


def test_memory_grows_with_what_the_optimizer_keeps(store: Store) -> None:
    # Per weight: itself and its gradient, and 0 (plain SGD), 1 (momentum) or 2 (Adam) more.
    n = 225_034
    sizes = [
        check(store, preset("cnn-mnist").spec.with_changes(f"training.optimizer={{kind: {o}}}")).memory_bytes
        for o in ("sgd, momentum: 0", "sgd, momentum: 0.9", "adam")
    ]
    assert sizes[1] - sizes[0] == 4 * n
    assert sizes[2] - sizes[1] == 4 * n


def test_batches_of_one_and_batch_norm_on_vectors_do_not_go_together(store: Store) -> None:
    vectors = "model.layers=[{kind: flatten}, {kind: batch_norm}, {kind: linear, out_features: 10}]"
    spec = preset("mlp-tiny").spec.with_changes(vectors)
    assert check(store, spec).ok
    report = check(store, spec.with_changes("training.batch_size=1"))
    assert [p.where for p in report.problems if p.severity == "error"] == ["training.batch_size"]
    images = spec.with_changes("training.batch_size=1", "model.layers.0={kind: batch_norm}")
    assert check(store, images.with_changes("model.layers.1={kind: flatten}")).ok, "pixels are enough"


def test_an_apple_gpu_is_not_looked_for_elsewhere(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    report = check(store, preset("mlp-tiny").spec.with_changes("training.device=mps"))
    assert report.problems[0].where == "training.device"


def test_more_threads_than_cores_are_a_warning_and_no_error(store: Store) -> None:
    report = check(store, preset("mlp-tiny").spec.with_changes("training.threads=256"))
    assert report.ok
    assert [(p.where, p.severity) for p in report.problems] == [("training.threads", "warning")]


def test_a_frozen_layer_that_is_not_there_is_found_before_the_run(store: Store) -> None:
    report = check(store, preset("mlp-tiny").spec.with_changes("training.freeze=[99]"))
    assert not report.ok
    assert report.problems[0].where == "training.freeze"


def test_one_image_a_class_is_refused_before_the_run_as_it_would_fail_in_it(
    store: Store, tmp_path: Path
) -> None:
    for name, grey in (("dark", 10), ("light", 200)):
        (tmp_path / "few" / name).mkdir(parents=True)
        Image.fromarray(np.full((12, 12), grey, np.uint8)).save(tmp_path / "few" / name / "1.png")
    catalog.add(store, tmp_path / "few", "few")
    spec = preset("mlp-tiny").spec.with_changes("data={name: few}", "model.layers.3.out_features=2")
    with pytest.raises(DataError) as failure:
        catalog.load(store, spec.data)
    report = check(store, spec)
    assert not report.ok
    assert failure.value.problems[0].fact in [problem.fact for problem in report.problems]


def test_parts_of_a_batch_need_less_memory(store: Store) -> None:
    spec = preset("cnn-mnist").spec.with_changes("training.batch_size=512", "training.device=cpu")
    whole, parts = check(store, spec), check(store, spec.with_changes("training.accumulation_steps=8"))
    assert parts.memory_bytes < whole.memory_bytes


def test_a_run_that_can_never_fit_is_refused_with_what_would(store: Store) -> None:
    spec = preset("cnn-mnist").spec.with_changes(
        "training.batch_size=9000", "data.size=512", "training.device=cpu"
    )
    problem = next(p for p in check(store, spec).problems if p.where == "training.batch_size")
    assert problem.severity == "error"
    found = re.match(r"Batch (\d+) fits, or accumulation_steps (\d+) does too\.", problem.repair)
    assert found, problem.repair
    for change in (f"training.batch_size={found[1]}", f"training.accumulation_steps={found[2]}"):
        report = check(store, spec.with_changes(change))
        assert not [p for p in report.problems if p.severity == "error"], change
