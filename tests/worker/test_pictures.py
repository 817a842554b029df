"""Answers that are pictures, asked of trained models as pages and the command line do."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.made import folder
from tests.data.test_pairs import numbers, pairs, photo
from workbench import catalog
from workbench.engine.checkpoint import to_bytes
from workbench.engine.duel import trainer_for
from workbench.figures.masks import decoded, grid, indexed, overlaid
from workbench.models.build import build
from workbench.specs.errors import WorkbenchError
from workbench.specs.picture_starts import autoencoder, discriminator, generator, unet
from workbench.specs.run import from_dict
from workbench.store import Store, open_store
from workbench.worker.answering import Answers
from workbench.worker.trained import task_of

IMAGE = (3, 12, 12)
MODELS: dict[str, dict[str, Any]] = {
    "segmentation": {"model": {"layers": unet(3, (4, 8))}, "task": {"kind": "segmentation"}},
    "named": {
        "model": {"layers": unet(3, (4, 8))}, "task": {"kind": "segmentation"}, "data": {"name": "named"},
    },
    "vae": {
        "model": {"layers": autoencoder(IMAGE, 4, draws=True)}, "task": {"kind": "reconstruction"},
        "data": {"name": "marked", "normalize": "unit"},
    },
    "autoencoder": {"model": {"layers": autoencoder(IMAGE, 4)}, "task": {"kind": "reconstruction"}},
    "generation": {
        "model": {"layers": generator(IMAGE, 8), "decoder": discriminator(IMAGE, 4)},
        "task": {"kind": "generation", "latent": 5}, "data": {"name": "marked", "normalize": "symmetric"},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, dict[str, str]]:
    """The answering side, and a run of every kind whose model has done two steps."""
    place = tmp_path_factory.mktemp("pictures")
    store: Store = open_store(place / "home")
    catalog.add(store, folder(place / "in", pairs(12)), "marked")
    names = ("background", "cat", "dog")
    catalog.add(store, folder(place / "named", pairs(12)), "named", class_names=names)
    catalog.add(store, folder(place / "two", pairs(6, values=(0, 2))), "two")
    catalog.add(store, folder(place / "plain", {f"{i}.png": photo(i) for i in range(3)}), "plain")
    runs = {}
    for name, tree in MODELS.items():
        spec = from_dict(
            {
                "name": name, "data": {"name": "marked"}, **tree,
                "training": {"batch_size": 4, "steps": 2, "device": "cpu"},
            }
        )  # fmt: skip
        data: Any = catalog.load(store, spec.data)
        model = build(spec.model, spec.task.input(data.shape, 0), seed=0)
        trainer = trainer_for(model, data, task_of(spec, data), spec)
        for rows, size in list(trainer.rest_of_epoch())[:2]:
            trainer.advance(rows, size)
        row = store.runs.create(spec, held=True)
        blob = to_bytes(trainer.capture(metrics={}))
        store.checkpoints.write(row.id, "last", blob, step=2, epoch=0.5, metrics={})
        runs[name] = row.id
    return Answers(store), runs


def ask(house: Any, name: str, files: dict[str, bytes] | None = None, **asked: Any) -> list[dict[str, Any]]:
    answers, runs = house
    images = [{"name": n, "content": base64.b64encode(blob).decode()} for n, blob in (files or {}).items()]
    found: list[dict[str, Any]] = answers.answer(
        "predict", {"run": runs[name], "images": images, "asked": asked}
    )
    return found


def test_a_mask_is_given_for_every_picture_with_the_shares_of_the_classes(house: Any) -> None:
    first, second = ask(house, "segmentation", {"a.png": photo(1), "b.png": photo(2, 24, 36)})
    assert first["size"] == [12, 12]
    assert second["size"] == [36, 24]
    mask = decoded(first["mask"])
    assert mask.shape == (12, 12)
    shares = np.bincount(mask.reshape(-1), minlength=3) / mask.size
    assert list(first["shares"].values()) == pytest.approx(list(shares))
    assert sum(second["shares"].values()) == pytest.approx(1.0)


def test_a_mask_is_kept_as_class_numbers_in_the_size_of_the_picture(house: Any) -> None:
    (answer,) = ask(house, "segmentation", {"b.png": photo(2, 24, 36)})
    mask = decoded(answer["mask"])
    with Image.open(io.BytesIO(indexed(mask, tuple(answer["size"])))) as image:
        assert image.mode == "P"
        assert image.size == (36, 24)
        np.testing.assert_array_equal(np.asarray(image)[::2, ::3], mask)


def test_a_picture_is_painted_anew_with_its_error(house: Any) -> None:
    (answer,) = ask(house, "vae", {"a.png": photo(1)})
    made, image = decoded(answer["made"]) / 255.0, decoded(answer["image"]) / 255.0
    assert made.shape == (12, 12, 3)
    assert answer["mse"] == pytest.approx(((made - image) ** 2).mean(), abs=0.01)


@pytest.mark.parametrize("name", ["vae", "generation"])
def test_new_pictures_come_of_noise_and_the_same_seed_gives_the_same(house: Any, name: str) -> None:
    first, again, other = (ask(house, name, samples=5, seed=seed) for seed in (1, 1, 2))
    assert len(first) == 5
    assert decoded(first[0]["made"]).shape == (12, 12, 3)
    assert [one["made"] for one in first] == [one["made"] for one in again]
    assert first[0]["made"] != other[0]["made"]


def test_what_cannot_be_asked_is_told(house: Any) -> None:
    with pytest.raises(WorkbenchError, match="a generator makes pictures of noise"):
        ask(house, "generation", {"a.png": photo(1)})
    with pytest.raises(WorkbenchError, match="a picture must be given"):
        ask(house, "segmentation")
    with pytest.raises(WorkbenchError, match="made by a model that draws its codes"):
        ask(house, "autoencoder")
    with pytest.raises(WorkbenchError, match="1 to 256 pictures"):
        ask(house, "generation", samples=1000)


def test_every_kind_is_judged_on_its_test_split(house: Any) -> None:
    answers, runs = house
    wanted = {"segmentation": "iou", "vae": "kl", "autoencoder": "explained", "generation": "distance"}
    for name, mark in wanted.items():
        found = answers.answer("evaluate", {"run": runs[name]})
        assert mark in found["metrics"], name
    found = answers.answer("evaluate", {"run": runs["segmentation"]})
    assert np.array(found["confusion"]).shape == (3, 3)
    assert [row["class"] for row in found["report"]["per_class"]] == list(found["classes"])


def test_another_set_is_judged_by_its_masks_in_the_numbering_of_the_model(house: Any, tmp_path: Path) -> None:
    answers, runs = house
    other = pairs(6, values=(0, 2))
    whole = np.concatenate([numbers(i, values=(0, 2)).ravel() for i in range(6)])
    told = answers.answer("predict", {"run": runs["segmentation"], "asked": {}, "images": [
        {"name": name, "content": base64.b64encode(blob).decode()}
        for name, blob in other.items() if name.startswith("images")
    ]})  # fmt: skip
    masks = np.concatenate([decoded(one["mask"]).ravel() for one in told])
    expected = np.array([[((whole == a) & (masks == b)).sum() for b in range(3)] for a in range(3)])
    for data in ("two", str(folder(tmp_path / "again", other))):
        found = answers.answer("evaluate", {"run": runs["segmentation"], "data": data})
        assert (found["samples"], found["confusion"]) == (6, expected.tolist())
    found = answers.answer(
        "evaluate", {"run": runs["named"], "data": str(folder(tmp_path / "all", pairs(6)))}
    )
    assert list(found["classes"]) == ["background", "cat", "dog"]  # files tell values alone
    with pytest.raises(WorkbenchError, match="judged on images with masks, but these have none"):
        answers.answer("evaluate", {"run": runs["segmentation"], "data": "plain"})


def test_a_sheet_holds_every_picture_and_the_ground_of_an_overlay_is_left(tmp_path: Path) -> None:
    images = [np.full((4, 6, 3), 40 * i, np.uint8) for i in range(5)]
    with Image.open(io.BytesIO(grid(images, enlarged=2, gap=2))) as sheet:
        assert sheet.size == (3 * 14 + 2, 2 * 10 + 2)
        assert np.asarray(sheet)[12, 16].tolist() == [160, 160, 160]
    image, mask = np.full((2, 2), 100, np.uint8), np.array([[0, 1], [2, 0]], np.uint8)
    over = overlaid(image, mask)
    assert over[0, 0].tolist() == [100, 100, 100]
    assert over[0, 1].tolist() != over[1, 0].tolist()
