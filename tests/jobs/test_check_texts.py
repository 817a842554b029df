"""The check of runs on texts: what fits is let through, what does not is said with place and repair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.sets import NAMES, home_of_texts, spec_of
from workbench import catalog
from workbench.data.text.dataset import load
from workbench.engine.trainer import Trainer
from workbench.jobs import memory, texts
from workbench.jobs.check import CheckReport, check, split_sizes
from workbench.models.build import build
from workbench.specs.errors import DataError, Problem
from workbench.specs.run import RunSpec
from workbench.specs.sizes import TextSizes
from workbench.store import Store
from workbench.tasks import metrics
from workbench.worker.trained import task_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with home_of_texts(tmp_path_factory.mktemp("texts")) as opened:
        yield opened


def errors(report: CheckReport) -> list[Problem]:
    return [problem for problem in report.problems if problem.severity == "error"]


def the_error(store: Store, spec: RunSpec, where: str) -> Problem:
    (found,) = [problem for problem in errors(check(store, spec)) if problem.where == where]
    assert found.repair, "it says what to do"
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_fits_its_texts_may_run(store: Store, name: str) -> None:
    spec = spec_of(store, name)
    report = check(store, spec)
    assert not errors(report)
    data = catalog.load(store, spec.data)
    model = build(spec.model, data.shape, seed=0)
    assert report.parameters == sum(p.numel() for p in model.parameters())
    assert report.memory_bytes > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_counts_are_those_of_the_run(store: Store, name: str) -> None:
    spec = spec_of(store, name)
    data = catalog.load(store, spec.data)
    trainer = Trainer(build(spec.model, data.shape, seed=0), data, task_of(spec, data), spec)
    sizes = split_sizes(store, spec)
    assert (sizes["train"], sizes["validation"]) == (trainer.train.n, trainer.validation.n)
    assert isinstance(sizes, TextSizes)
    assert sizes.tokens("train") == len(data.train.ids.values)


@pytest.mark.parametrize(
    ("name", "task"), [(name, task) for name in NAMES for task in NAMES.values() if task != NAMES[name]]
)
def test_a_task_that_the_set_does_not_serve_is_told_with_the_one_it_serves(
    store: Store, name: str, task: str
) -> None:
    found = the_error(store, spec_of(store, name, f"task={{kind: {task}}}"), "task.kind")
    assert found.repair == f"Set task.kind to {NAMES[name]}."


def test_images_have_no_next_token(store: Store) -> None:
    spec = RunSpec().with_changes("data.name=digits", "task={kind: language_model}")
    assert the_error(store, spec, "task.kind").repair == "Set task.kind to classification."


def test_image_layers_on_texts_are_refused_by_themselves_with_a_repair(store: Store) -> None:
    spec = spec_of(store, "notes", "model.layers=[{kind: conv2d}, {kind: flatten}]")
    found = errors(check(store, spec))[0]
    assert found.where == "layer 0 (conv2d)"
    assert found.fix is not None


def test_a_fault_in_the_decoder_is_located_there(store: Store) -> None:
    spec = spec_of(store, "pairs", "model.decoder.4.out_features=7")
    found = errors(check(store, spec))[0]
    assert found.where == "layer decoder.4 (linear)"
    assert found.fix is not None
    assert found.fix.edits[0].path[:2] == ("decoder", 4)
    layers = check(store, spec_of(store, "pairs")).to_json()["layers"]
    assert [row.get("stack") for row in layers] == [None] * 4 + ["decoder"] * 5


def test_a_model_that_gives_one_score_a_text_is_no_language_model(store: Store) -> None:
    layers = "[{kind: embedding}, {kind: sequence_pool}, {kind: linear, out_features: 30}]"
    assert errors(check(store, spec_of(store, "book", f"model.layers={layers}")))


@pytest.mark.parametrize(
    ("name", "metric", "more"),
    [
        ("notes", "val/bleu", ""), ("notes", "val/exact_match", ""), ("book", "val/f1", ""),
        ("book", "val/bleu", ""), ("pairs", "val/auroc", ""), ("pairs", "val/bleu", "task.scored=0"),
    ],
)  # fmt: skip
def test_a_stop_that_waits_for_what_is_not_measured_is_refused(
    store: Store, name: str, metric: str, more: str
) -> None:
    spec = spec_of(store, name, f"training.early_stopping={{metric: {metric}}}", *([more] if more else []))
    found = the_error(store, spec, "training.early_stopping.metric")
    assert metric in found.fact


@pytest.mark.parametrize(
    ("name", "metric"),
    [("notes", "val/f1"), ("notes", "val/auroc"), ("book", "val/accuracy"), ("pairs", "val/bleu")],
)
def test_a_stop_that_waits_for_what_is_measured_is_none_of_our_business(
    store: Store, name: str, metric: str
) -> None:
    assert check(store, spec_of(store, name, f"training.early_stopping={{metric: {metric}}}")).ok


def test_images_are_not_scored_by_bleu(store: Store) -> None:
    spec = RunSpec().with_changes("data.name=digits", "training.early_stopping={metric: val/bleu}")
    assert the_error(store, spec, "training.early_stopping.metric")


def test_random_changes_of_images_are_not_for_texts(store: Store) -> None:
    spec = spec_of(store, "notes", "data.augment=[{kind: flip}]")
    assert the_error(store, spec, "data.augment").repair == "Take the changes away."


def test_layers_of_two_stacks_are_frozen_one_by_one_and_need_less_memory(store: Store) -> None:
    spec = spec_of(store, "pairs")
    n = len(spec.model.numbered)
    last = spec.with_changes(f"training.freeze=[0, {n - 1}]")
    assert check(store, last).ok
    assert check(store, last).memory_bytes < check(store, spec).memory_bytes
    assert (
        f"no layer {n}"
        in the_error(store, spec.with_changes(f"training.freeze=[{n}]"), "training.freeze").fact
    )
    assert check(store, spec_of(store, "notes", "training.freeze=[0]")).ok


def test_a_context_longer_than_a_split_is_found_before_the_run_as_the_run_would(store: Store) -> None:
    spec = spec_of(store, "book", "data.text.length=2000")
    found = [p for p in errors(check(store, spec)) if p.where == "data.text.length"]
    assert any("validation split" in p.fact for p in found)
    data = catalog.load(store, spec.data)
    with pytest.raises(DataError, match="longer than its context"):
        Trainer(build(spec.model, data.shape, seed=0), data, task_of(spec, data), spec)


def test_texts_that_cannot_be_split_are_told(store: Store, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("text,label\nhello there,a\ngood bye,b\n", encoding="utf-8")
    catalog.add(store, tmp_path / "few.csv", "few")
    spec = spec_of(store, "notes", "data.name=few")
    with pytest.raises(DataError) as failure:
        catalog.load(store, spec.data)
    report = check(store, spec)
    assert not report.ok
    assert failure.value.problems[0].fact in [problem.fact for problem in report.problems]


def test_a_batch_of_texts_that_can_never_fit_is_refused_with_what_would(store: Store) -> None:
    block = "{kind: transformer_encoder_layer, dim_feedforward: 65536, causal: true}"
    layers = f"[{{kind: embedding, embedding_dim: 32}}, {{kind: repeat, times: 60, layers: [{block}]}}]"
    huge = (f"model.layers={layers}", "training.batch_size=60000", "data.text.length=8")
    spec = spec_of(store, "book", "training.device=cpu", *huge)
    found = the_error(store, spec, "training.batch_size")
    assert "GB is all there is" in found.fact
    assert "fits" in found.repair


def test_memory_of_texts_grows_with_their_length_and_their_number(store: Store) -> None:
    sizes = [
        check(
            store, spec_of(store, "book", f"training.batch_size={n}", f"data.text.length={length}")
        ).memory_bytes
        for n, length in ((8, 16), (8, 64), (64, 64))
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize("name", NAMES)
def test_a_waiting_run_of_texts_reckons_with_its_tokens(store: Store, name: str) -> None:
    spec = spec_of(store, name)
    row = store.runs.create(spec)
    try:
        need, known = memory.expected(store, row)
        assert known == "estimated"
        whole = check(store, spec).memory_bytes
        assert need - memory.OWN_BYTES == pytest.approx(whole - memory.PROCESS_BYTES, rel=0.01)
        assert need > memory.OWN_BYTES
    finally:
        store.runs.delete(row.id)


def test_the_share_of_unknown_tokens_is_that_of_the_validation_texts(store: Store) -> None:
    spec = spec_of(store, "notes", "data.text.vocabulary=16")
    row = catalog.with_shipped(store, "notes")
    found = texts.facts(row, spec.data)
    ids = load(row.path, spec.data).validation.ids.values
    assert 0 < found.unknown == pytest.approx(float((ids == 1).mean()))
    assert texts.facts(row, spec_of(store, "notes").data).unknown == 0


def test_the_limit_of_areas_under_curves_is_the_one_of_the_metrics() -> None:
    assert texts.MOST_RANKED == metrics.MOST_RANKED


def test_a_second_look_at_the_same_texts_is_quick(store: Store) -> None:
    spec = spec_of(store, "pairs")
    check(store, spec)
    before = texts._facts.cache_info().misses
    check(store, spec.with_changes("training.batch_size=8"))
    assert texts._facts.cache_info().misses == before, "nothing is read anew"
