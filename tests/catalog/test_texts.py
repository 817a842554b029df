"""Sets of texts by name: added, looked at, tokenized, changed; the same face as images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.made import folder
from workbench import catalog
from workbench.data import ImportCancelled
from workbench.jobs.check import split_sizes
from workbench.specs.base import Pair, Tokens
from workbench.specs.data import DataSpec, TextImport, TextSpec
from workbench.specs.errors import DataError
from workbench.specs.run import RunSpec
from workbench.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "home")


@pytest.fixture
def mine(store: Store, tmp_path: Path) -> Store:
    """`mine`: 60 texts of two classes, two of them the same, one the same but for its case."""
    rows = [f"{('good', 'bad')[i % 2]},this is review {i} of it" for i in range(57)]
    rows += ["good,this is review 0 of it", "bad,This IS review 1 of it!", "good," + "long " * 40]
    blob = "mood,review\n" + "\n".join(rows) + "\n"
    catalog.add(store, folder(tmp_path / "in", {"my reviews.csv": blob.encode()}) / "my reviews.csv", "mine")
    return store


def spec(name: str, **text: object) -> DataSpec:
    return DataSpec(name=name, text=TextSpec.model_validate({"length": 12, **text}))


def test_a_table_is_added_under_a_name_made_from_its_file(mine: Store, tmp_path: Path) -> None:
    assert catalog.add(mine, tmp_path / "in" / "my reviews.csv").name == "my-reviews"
    shown = catalog.show(mine, "my-reviews")
    assert (shown["kind"], shown["task"], shown["rows"]) == ("text", "classification", 60)
    assert shown["classes"] == ["bad", "good"]
    assert shown["schema"]["columns"] == {"text": "review", "label": "mood"}


def test_a_look_tells_what_would_be_added_and_the_choice_can_be_another(mine: Store, tmp_path: Path) -> None:
    found = catalog.look(tmp_path / "in")
    assert (found["kind"], found["task"], found["header"]) == ("text", "classification", True)
    assert (found["names"], found["columns"]) == (["mood", "review"], {"text": "review", "label": "mood"})
    assert found["examples"][0] == ["good", "this is review 0 of it"]
    asked = TextImport(task="language_model", text_columns=("review",))
    assert catalog.look(tmp_path / "in", texts=asked)["task"] == "language_model"
    row = catalog.add(mine, tmp_path / "in", "prose", texts=asked)
    assert (row.schema.task, row.schema.classes) == ("language_model", ())
    assert catalog.texts(mine, "prose", per_page=1).texts == ["this is review 0 of it\n"]


def test_an_import_that_fails_or_is_cancelled_registers_nothing(mine: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lable"):
        catalog.add(mine, tmp_path / "in", "new", texts=TextImport(label_column="lable"))
    with pytest.raises(ImportCancelled):
        catalog.add(mine, tmp_path / "in", "new", stop=lambda: True)
    with pytest.raises(DataError, match="a set of texts needs files of text"):
        catalog.add(mine, folder(tmp_path / "no", {"a.bin": bytes(range(256))}), "new", kind="text")
    assert "new" not in {row.name for row in mine.datasets.list()}
    assert list((mine.artifacts / "incoming").iterdir()) == []


def test_progress_never_falls_and_ends_at_one(store: Store, tmp_path: Path) -> None:
    blob = "".join(f"{'ab'[i % 2]}\tthis is text {i}\n" for i in range(100_000)).encode()
    told: list[float] = []
    source = folder(tmp_path / "in", {"a.tsv": blob})
    catalog.add(store, source, "x", progress=lambda text, share: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 5


@pytest.mark.parametrize(
    ("name", "task", "shape"),
    [
        ("sms-spam", "classification", Tokens),
        ("tiny-shakespeare", "language_model", Tokens),
        ("iso-dates", "translation", Pair),
    ],
)
def test_the_shape_and_the_columns_of_the_scores_are_those_that_are_loaded(
    name: str, task: str, shape: type, store: Store
) -> None:
    asked = spec(name, tokenizer="character", length=80)
    found, columns = catalog.shape_and_classes(store, asked)
    data = catalog.load(store, asked)
    assert isinstance(found, shape)
    assert (found, columns) == (data.shape, data.columns)
    assert (data.kind, data.schema.task, data.name) == ("text", task, name)


@pytest.mark.parametrize("name", ["sms-spam", "tiny-shakespeare", "iso-dates"])
def test_a_check_counts_the_splits_as_the_run_will_cut_them(name: str, store: Store) -> None:
    run = RunSpec().with_changes(f"data.name={name}", "data.text.tokenizer=character", "data.text.length=64")
    sizes, data = dict(split_sizes(store, run)), catalog.load(store, run.data)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    if name == "tiny-shakespeare":
        assert sizes == {split: (len(part.ids.values) - 1) // 64 for split, part in parts.items()}
    else:
        assert sizes == {split: len(part) for split, part in parts.items()}


def test_pages_show_every_text_once_and_classes_in_turn(mine: Store) -> None:
    pages = [catalog.texts(mine, "mine", page=p, per_page=7) for p in range(9)]
    assert sorted(np.concatenate([page.rows for page in pages]).tolist()) == list(range(60))
    assert (pages[0].total, pages[0].pages) == (60, 9)
    assert pages[0].labels[:4].tolist() == [0, 1, 0, 1]
    bad = catalog.texts(mine, "mine", class_index=0, split="train", page=99)
    assert bad.page == bad.pages - 1
    assert set(bad.labels.tolist()) == {0}
    pair = catalog.texts(mine, "iso-dates", split="test", per_page=1)
    assert (pair.total, len(pair.targets)) == (2_000, 1)


def test_lengths_are_of_the_whole_texts_and_tell_what_is_cut_off(mine: Store) -> None:
    found = catalog.lengths(mine, spec("mine"))
    assert sum(found.counts) == 60
    assert len(found.edges) == len(found.counts) + 1
    assert (found.longest, found.length) == (40, 12)
    assert found.cut == pytest.approx(1 / 60)
    assert found.tokens["train"] <= 12 * 48


def test_a_text_is_shown_as_tokens_with_those_that_are_unknown(mine: Store) -> None:
    found = catalog.tokenized(mine, spec("mine"), "this is XYZZY review")
    assert found.unknown == [False, False, True, False]
    assert found.tokens[:2] == ["this", "is"]
    assert len(found.ids) == 4
    assert not found.is_cut
    assert catalog.tokenized(mine, spec("mine"), "this " * 50).is_cut
    target = catalog.tokenized(mine, spec("iso-dates", tokenizer="character"), "1999", target=True)
    assert target.tokens == ["1", "9", "9", "9"]


def test_unknown_rates_are_those_of_the_ids(mine: Store) -> None:
    rates = catalog.unknown_rate(mine, spec("mine"))
    data = catalog.load(mine, spec("mine"))
    assert rates["train"] == 0
    assert rates["test"] == pytest.approx(float((data.test.ids.values == 1).mean()))
    assert rates["test"] > 0
    assert set(catalog.unknown_rate(mine, spec("iso-dates"))) >= {"target train", "target test"}


def test_classes_are_changed_in_versions_and_a_run_keeps_its_own(mine: Store) -> None:
    asked = spec("mine")
    catalog.rename_class(mine, "mine", "good", "fine")
    catalog.relabel(mine, "mine", [0, 2, 4], "mixed")
    assert catalog.schema(mine, "mine").classes == ("bad", "fine", "mixed")
    assert catalog.class_balance(mine, "mine") == {"train": [29, 28, 3]}
    catalog.merge_classes(mine, "mine", ["fine", "mixed"], "good")
    assert catalog.class_balance(mine, "mine") == {"train": [29, 31]}
    catalog.drop_images(mine, "mine", [59])
    assert mine.datasets.get("mine").rows == 59
    assert catalog.load(mine, asked, version=1).classes == ("bad", "good")
    assert catalog.followed(mine, "mine", 1, [0, 57, 58, 59]).tolist() == [0, 57, 58, -1]
    catalog.restore(mine, "mine", 1)
    assert mine.datasets.get("mine").rows == 60
    assert mine.datasets.get("mine").fingerprint == mine.datasets.get("mine", 1).fingerprint


def test_texts_that_are_there_twice_are_found_whatever_their_case(mine: Store) -> None:
    found = catalog.copies(mine, "mine")
    assert found.same.tolist() == [[0, 57]]
    assert found.near.tolist() == [[1, 58]]


def test_a_copy_shares_its_texts_and_can_be_changed(store: Store) -> None:
    row = catalog.copy(store, "sms-spam", "other")
    shipped = catalog.with_shipped(store, "sms-spam")
    assert (row.path / "texts.arrow").samefile(shipped.path / "texts.arrow")
    assert catalog.drop_classes(store, catalog.copy(store, "digits", "d").name, ["9"]).rows < 1_797


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda s: catalog.texts(s, "digits"), "it must be one of texts"),
        (lambda s: catalog.lengths(s, spec("digits")), "it must be one of texts"),
        (lambda s: catalog.samples(s, "sms-spam"), "it must be one of images"),
        (lambda s: catalog.statistics(s, "sms-spam"), "it must be one of images"),
        (lambda s: catalog.texts(s, "sms-spam", class_index=2), "classes are numbered 0 to 1"),
        (lambda s: catalog.texts(s, "sms-spam", split="trian"), "Did you mean `train`"),
        (
            lambda s: catalog.tokenized(s, spec("sms-spam"), "x", target=True),
            "only translations have a target",
        ),
        (
            lambda s: catalog.relabel(s, catalog.copy(s, "iso-dates", "i").name, [0], "x"),
            "sets to classify have",
        ),
        (lambda s: catalog.drop_images(s, catalog.copy(s, "tiny-shakespeare", "t").name, [0]), "one text"),
    ],
)
def test_what_a_set_cannot_give_is_refused_with_the_reason(
    ask: Callable[[Store], object], said: str, store: Store
) -> None:
    with pytest.raises(DataError, match=said):
        ask(store)
