"""Trials of runs on texts: what they answer, and that they answer soon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.jobs.sets import NAMES, home_of_texts, spec_of
from tests.processes import answering_home
from tests.worker.models_of_texts import OF_TEXTS, fitted
from workbench import catalog
from workbench.jobs import trials
from workbench.specs.errors import SpecError
from workbench.specs.run import RunSpec
from workbench.store import Store
from workbench.worker.trials import _answer


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with home_of_texts(tmp_path_factory.mktemp("texts")) as opened:
        yield opened


def answered(store: Store, kind: str, spec: RunSpec) -> dict[str, Any]:
    return _answer(store, kind, spec, lambda words, share: None)


@pytest.mark.parametrize(("name", "samples"), [("notes", "texts"), ("book", "windows"), ("pairs", "pairs")])
def test_a_preflight_of_texts_says_all_that_is_promised(store: Store, name: str, samples: str) -> None:
    found = answered(store, "preflight", spec_of(store, name))
    assert found["samples"] == samples
    assert found["eta_s"] > 0
    assert found["memory"]["total"] == pytest.approx(found["predicted"]["total"], rel=0.15)
    assert found["bottleneck"] in ("data", "model")
    assert found["largest_is_all"]
    assert (found["writing_s"] > 0) is (name != "notes")


@pytest.mark.parametrize("name", NAMES)
def test_a_range_test_of_texts_gives_a_curve(store: Store, name: str) -> None:
    found = answered(store, "range_test", spec_of(store, name))
    assert len(found["rates"]) == len(found["losses"]) >= 20
    assert found["losses"][0] > 0


def test_a_task_that_does_not_fit_the_texts_is_refused_before_a_step(store: Store) -> None:
    with pytest.raises(SpecError, match=r"Set task\.kind to classification"):
        answered(store, "preflight", spec_of(store, "notes", "task={kind: translation}"))


def test_what_cannot_fit_is_refused_with_what_would(store: Store) -> None:
    block = "{kind: transformer_encoder_layer, dim_feedforward: 65536, causal: true}"
    layers = f"[{{kind: embedding, embedding_dim: 32}}, {{kind: repeat, times: 60, layers: [{block}]}}, {{kind: linear, out_features: COLUMNS}}]"  # noqa: E501
    spec = spec_of(store, "book")
    _, columns = catalog.shape_and_classes(store, spec.data)
    spec = spec.with_changes(
        f"model.layers={layers.replace('COLUMNS', str(columns))}",
        "training.batch_size=60000",
        "training.device=cpu",
    )
    with pytest.raises(SpecError, match=r"needs [\d.]+ GB.*[Bb]atch \d+ fits|accumulation_steps"):
        answered(store, "preflight", spec)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OF_TEXTS))
def test_every_model_of_texts_needs_what_was_predicted(name: str, living: Store) -> None:
    spec = OF_TEXTS[name]
    _, columns = catalog.shape_and_classes(living, spec.data)  # the data is prepared at its first use
    spec = fitted(spec, columns)
    for batch in (8, spec.training.batch_size):
        found = trials.result(living, "preflight", spec.with_changes(f"training.batch_size={batch}"))
        said, seen = found["predicted"]["total"], found["memory"]["total"]
        if found["memory"]["at"] == "validation":  # measured on usual texts, predicted for the longest
            assert 0.95 * seen <= said <= 1.5 * seen, batch
        else:
            assert said == pytest.approx(seen, rel=0.15), batch


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with answering_home(tmp_path_factory.mktemp("trials") / "home") as opened:
        yield opened
