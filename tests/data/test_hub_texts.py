"""Sets of texts by their name on the hub: real repositories of the `datasets` library, laid down here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_hub import endpoint  # noqa: F401 - a fixture
from workbench.data import Limits
from workbench.data.hub import prepare_hub
from workbench.data.limits import ImportCancelled
from workbench.data.prepare import prepare
from workbench.data.text.stored import Stored
from workbench.specs.data import TextImport
from workbench.specs.errors import DataError

datasets = pytest.importorskip("datasets")
REVIEWS = [f"a rather {'good' if i % 2 else 'bad'} film, number {i}" for i in range(12)]
VERDICTS = ["praise" if i % 2 else "blame" for i in range(12)]


@pytest.fixture(autouse=True)
def hub(endpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A hub that knows every set; the library finds their repositories in the working folder."""
    endpoint.status = 200
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def repository(hub: Path, files: dict[str, list[dict[str, Any]]], readme: str = "") -> None:
    """owner/name with JSON lines per file, and its card."""
    folder = hub / "owner" / "name"
    folder.mkdir(parents=True)
    for name, rows in files.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name).write_text(text, encoding="utf-8")
    if readme:
        (folder / "README.md").write_text(f"---\n{readme}---\n# A set\n", encoding="utf-8")


def labelled(n: int = 12, start: int = 0, label: Any = lambda i: i % 2) -> list[dict[str, Any]]:
    return [{"text": REVIEWS[i % 12], "label": label(i)} for i in range(start, start + n)]


CLASSES = """dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': blame
          '1': praise
"""


def texts_of(folder: Path, column: str = "text") -> list[str]:
    stored = Stored(folder)
    return [stored.text(i, column) for i in range(len(stored))]


def test_classes_have_the_names_of_the_card(hub: Path) -> None:
    repository(hub, {"train.jsonl": labelled(), "test.jsonl": labelled(4)}, CLASSES)
    prepared = prepare_hub("owner/name", hub / "out")
    stored = Stored(hub / "out")
    assert (prepared.schema.kind, prepared.schema.task) == ("text", "classification")
    assert prepared.rows == {"train": 12, "test": 4}
    assert prepared.schema.classes == ("blame", "praise")
    assert prepared.schema.columns == {"text": "text", "label": "label"}
    assert prepared.schema.source == "https://huggingface.co/datasets/owner/name"
    assert texts_of(hub / "out") == REVIEWS + REVIEWS[:4]
    assert [prepared.schema.classes[k] for k in stored.labels] == VERDICTS + VERDICTS[:4]


def test_a_parquet_set_of_the_library_is_the_set_that_its_file_is(hub: Path) -> None:
    """The same texts, labels and fingerprint as the file by itself gives."""
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "verdict": datasets.ClassLabel(names=["blame", "praise"])}
    )
    cells = {"sentence": REVIEWS, "verdict": [i % 2 for i in range(12)]}
    (hub / "owner" / "name").mkdir(parents=True)
    place = hub / "owner" / "name" / "train.parquet"
    datasets.Dataset.from_dict(cells, features=features).to_parquet(place)
    streamed = prepare_hub("owner/name", hub / "out")
    filed = prepare(place, hub / "file")
    assert streamed.fingerprint == filed.fingerprint
    assert streamed.schema.classes == filed.schema.classes == ("blame", "praise")
    assert streamed.schema.columns == filed.schema.columns
    assert texts_of(hub / "out") == texts_of(hub / "file") == REVIEWS


def test_sorted_labels_are_still_labels(hub: Path) -> None:
    """As in imdb, whose first thousands of rows are of one class."""
    rows = [{"text": f"{REVIEWS[i % 12]} {i}", "label": int(i >= 5_000)} for i in range(5_100)]
    repository(hub, {"train.jsonl": rows}, CLASSES)
    prepared = prepare_hub("owner/name", hub / "out")
    assert (prepared.schema.task, prepared.schema.classes) == ("classification", ("blame", "praise"))
    assert prepared.rows == {"train": 5_100}


def test_labels_without_names_are_classes_and_others_can_be_asked_for(hub: Path) -> None:
    rows = [{"review": text, "stars": i % 3, "mood": VERDICTS[i]} for i, text in enumerate(REVIEWS)]
    repository(hub, {"train.jsonl": rows})
    assert prepare_hub("owner/name", hub / "out").schema.classes == ("0", "1", "2")
    asked = TextImport(label_column="mood")
    prepared = prepare_hub("owner/name", hub / "other", texts=asked)
    assert prepared.schema.classes == ("blame", "praise")
    assert prepared.schema.columns == {"text": "review", "label": "mood"}
    assert any("as asked for" in line["reason"] for line in prepared.report)


@pytest.mark.parametrize("form", ["translation", "two columns"])
def test_pairs_become_a_set_to_translate(hub: Path, form: str) -> None:
    pairs = [{"de": f"Satz {i} von mir", "en": f"sentence {i} of mine"} for i in range(8)]
    if form == "translation":
        card = "dataset_info:\n  features:\n  - name: translation\n    dtype:\n      translation:\n"
        card += "        languages:\n        - de\n        - en\n"
        repository(hub, {"train.jsonl": [{"translation": pair} for pair in pairs]}, card)
    else:
        repository(hub, {"train.jsonl": pairs})
    prepared = prepare_hub("owner/name", hub / "out")
    assert prepared.schema.task == "translation"
    assert texts_of(hub / "out") == [pair["de"] for pair in pairs]
    assert texts_of(hub / "out", "target") == [pair["en"] for pair in pairs]


def test_one_column_of_text_is_a_text_to_continue(hub: Path) -> None:
    lines = ["", " = A heading = ", *(f"A line of prose that goes on, number {i}." for i in range(30))]
    repository(hub, {"train.jsonl": [{"text": line} for line in lines]})
    prepared = prepare_hub("owner/name", hub / "out")
    assert prepared.schema.task == "language_model"
    assert "".join(texts_of(hub / "out")) == "\n".join(line.strip() for line in lines) + "\n"


def test_a_configuration_and_its_splits_are_chosen_by_name(hub: Path) -> None:
    card = """configs:
- config_name: small
  data_files:
  - {split: train, path: s.jsonl}
  - {split: validation, path: v.jsonl}
- config_name: large
  data_files: [{split: train, path: l.jsonl}]
"""
    files = {"s.jsonl": labelled(6), "v.jsonl": labelled(4), "l.jsonl": labelled(12)}
    repository(hub, files, card)
    assert prepare_hub("owner/name:small", hub / "out").rows == {"train": 6, "validation": 4}
    with pytest.raises(DataError, match="Config name is missing"):
        prepare_hub("owner/name", hub / "other")
    assert not (hub / "other").exists()


def test_rows_without_a_label_or_a_text_are_reported_as_those_of_a_file_are(hub: Path) -> None:
    rows = [*labelled(), {"text": "unlabelled", "label": -1}, {"text": "  ", "label": 1}]
    rows += [{"text": "gone", "label": None}]
    repository(hub, {"train.jsonl": rows}, CLASSES)
    report = prepare_hub("owner/name", hub / "out").report
    refused = {line["file"]: line["reason"] for line in report if line["action"] == "refused"}
    assert refused == {
        "train, line 13": "it has no label",
        "train, line 14": "it has no text",
        "train, line 15": "it has no label",
    }


def test_a_set_of_images_is_not_taken_for_texts_unless_asked(hub: Path) -> None:
    from tests.data.made import encoded, pixels

    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    cells = {"image": [{"bytes": encoded(pixels(i)), "path": None} for i in range(8)], "caption": REVIEWS[:8]}
    (hub / "owner" / "name").mkdir(parents=True)
    datasets.Dataset.from_dict(cells, features=features).to_parquet(hub / "owner" / "name" / "train.parquet")
    with pytest.raises(DataError, match="a column of class labels"):
        prepare_hub("owner/name", hub / "out")
    prepared = prepare_hub("owner/name", hub / "out", kind="text")
    assert (prepared.schema.task, texts_of(hub / "out")) == (
        "language_model",
        [f"{t}\n" for t in REVIEWS[:8]],
    )


def test_a_set_of_numbers_is_refused_with_its_columns(hub: Path) -> None:
    repository(hub, {"train.jsonl": [{"width": i, "height": i * 0.5} for i in range(8)]})
    with pytest.raises(DataError, match="`width`, `height`"):
        prepare_hub("owner/name", hub / "out")
    assert not (hub / "out").exists()


def test_limits_and_a_stop_hold_for_streams_too(hub: Path) -> None:
    repository(hub, {"train.jsonl": labelled(2_500)}, CLASSES)
    with pytest.raises(DataError, match="100 texts"):
        prepare_hub("owner/name", hub / "out", limits=Limits(texts=100))
    seen: list[str] = []
    with pytest.raises(ImportCancelled):
        prepare_hub(
            "owner/name", hub / "out", progress=lambda words, _: seen.append(words), stop=lambda: bool(seen)
        )
    assert seen == ["Reading 1,000 texts"]
    assert not (hub / "out").exists()
