"""What will happen to a run on texts, in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jobs.sets import NAMES, home_of_texts, spec_of
from workbench import catalog
from workbench.engine.trainer import Trainer
from workbench.jobs.check import check, split_sizes
from workbench.jobs.outlook import outlook, plan
from workbench.models.build import build
from workbench.specs.run import RunSpec
from workbench.store import Store
from workbench.worker.trained import task_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with home_of_texts(tmp_path_factory.mktemp("texts")) as opened:
        yield opened


def told(store: Store, spec: RunSpec) -> dict[str, str]:
    return dict(outlook(store, spec, check(store, spec)))


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_counts_the_batches_of_texts_that_the_engine_cuts(store: Store, name: str) -> None:
    spec = spec_of(store, name)
    data = catalog.load(store, spec.data)
    trainer = Trainer(build(spec.model, data.shape, seed=0), data, task_of(spec, data), spec)
    planned = plan(spec, split_sizes(store, spec))
    assert (planned.steps_per_epoch, planned.total_steps) == (trainer.steps_per_epoch, trainer.total_steps)


def test_texts_to_tell_apart_in_words(store: Store) -> None:
    lines = told(store, spec_of(store, "notes", "data.text.lowercase=true"))
    assert lines["Data"].startswith("notes: 162 texts to learn from (")
    assert lines["Data"].endswith("18 to validate on, 20 to test on")
    assert lines["Texts"].startswith("read as words, all in small letters; ")
    assert "at most 32 of them a text" in lines["Texts"]
    assert lines["Length"].startswith(
        "22 updates of 16 texts: 2 passes over the training texts, 11 updates each"
    )
    assert lines["Watching"].startswith("curves, states live")
    assert "Written" not in lines


def test_a_language_model_in_words(store: Store) -> None:
    changes = ("task.prompt=The cat", "task.sample_tokens=50", "task.top_k=5", "task.top_p=0.9")
    lines = told(store, spec_of(store, "book", *changes))
    assert "windows of the text to learn from (" in lines["Data"]
    assert lines["Texts"].startswith("read as characters; ")
    assert "32 of them are seen at a time" in lines["Texts"]
    assert lines["Loss"] == "cross-entropy of every next token"
    assert "windows: 2 passes over the training windows" in lines["Length"]
    assert lines["Written"] == (
        "50 tokens at each validation, after “The cat”, drawn at a temperature of 0.8, among the 5 "
        "likeliest, among those that make up 90%"
    )
    assert lines["Watching"].startswith("curves, attention live")
    silent = told(store, spec_of(store, "book", "task.sample_tokens=0"))
    assert "Written" not in silent
    greedy = told(store, spec_of(store, "book", "task.temperature=0"))
    assert greedy["Written"].endswith("from the first token of the data on, the likeliest token each time")


def test_a_translator_in_words(store: Store) -> None:
    lines = told(store, spec_of(store, "pairs", "task.label_smoothing=0.1", "task.scored=10"))
    assert " pairs to learn from (" in lines["Data"]
    assert lines["Model"].startswith("5 layers that read, 6 that write, with ")
    assert lines["Loss"] == "cross-entropy of every token of the translation, targets smoothed by 0.1"
    assert lines["Written"].startswith("translations of the first 10 texts to validate on")
    assert "with 4 beams" in lines["Written"]


def test_shared_weights_are_told(store: Store) -> None:
    lines = told(store, spec_of(store, "book", "model.tie_embeddings=true"))
    assert lines["Model"].endswith("; the last shares its weights with the embedding")


def test_unknown_and_cut_texts_are_told(store: Store) -> None:
    lines = told(store, spec_of(store, "notes", "data.text.vocabulary=16", "data.text.length=8"))
    assert "are that long, and what follows is cut off" in lines["Texts"]
    assert "of the tokens to validate on are unknown" in lines["Texts"]
    assert told(store, spec_of(store, "notes"))["Texts"].endswith(
        "none of the tokens to validate on is unknown"
    )


def test_what_cannot_work_promises_no_memory(store: Store) -> None:
    assert "Memory" not in told(store, spec_of(store, "notes", "task={kind: translation}"))
