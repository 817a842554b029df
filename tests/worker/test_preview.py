"""The preview of random changes is made by the code that trains, on the images a run would train on."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from workbench import catalog
from workbench.engine.augment import Augment
from workbench.specs.augment import AUGMENTATIONS
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError, SpecError
from workbench.store import Store, open_store
from workbench.worker.preview import augmented


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store()
    yield opened
    opened.close()


def pixels(texts: list[str]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(base64.b64decode(t)))) for t in texts])


def payload(*ops: Any, **more: Any) -> dict[str, Any]:
    spec = DataSpec(name=more.pop("name", "digits"), augment=ops, **more.pop("data", {}))
    return {"data": spec.model_dump(mode="json"), "n": 20, **more}


@pytest.mark.parametrize("kind", sorted(AUGMENTATIONS))
def test_it_shows_what_training_would_see(kind: str, store: Store) -> None:
    op = AUGMENTATIONS[kind](p=1.0)
    shown = augmented(store, payload(op, step=5, seed=3))
    assert json.loads(json.dumps(shown)) == shown
    before, after = pixels(shown["before"]), pixels(shown["after"])
    train = catalog.load(store, DataSpec(name="digits")).train
    known = {x.tobytes() for x in train.x}
    assert all(image.tobytes() in known for image in before)
    labels = torch.tensor([int(train.y[[x.tobytes() for x in train.x].index(b.tobytes())]) for b in before])
    x = torch.from_numpy(before[:, None].astype(np.float32) / 255)
    expected, _ = Augment([op], 10, 3)(x, labels, 5)
    assert np.array_equal(after, np.rint(expected[:, 0].numpy() * 255).astype(np.uint8))
    assert len(shown["labels"]) == 20


def test_classes_take_turns_and_blends_tell_their_shares(store: Store) -> None:
    plain = augmented(store, payload(AUGMENTATIONS["flip"]()))
    assert plain["labels"][:10] == [str(k) for k in range(10)]
    mixed = augmented(store, payload(AUGMENTATIONS["mixup"](p=1.0, strength=5.0)))
    assert any("%" in text and ", " in text for text in mixed["labels"])


def test_size_and_colour_of_the_spec_are_kept(store: Store) -> None:
    shown = augmented(store, payload(AUGMENTATIONS["blur"](), data={"size": 16, "channels": 3}))
    assert pixels(shown["after"]).shape == (20, 16, 16, 3)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"n": 0}, SpecError),
        ({"n": 65}, SpecError),
        ({"step": -1}, SpecError),
        ({"data": {"name": "digits", "augment": [{"kind": "flop"}]}}, SpecError),
        ({"data": {"name": "digits", "augment": [{"kind": "flip", "p": 2}]}}, SpecError),
        ({"data": {"name": "nowhere"}}, DataError),
    ],
)
def test_a_bad_question_is_refused(change: dict[str, Any], error: type[Exception], store: Store) -> None:
    with pytest.raises(error):
        augmented(store, payload() | change)
