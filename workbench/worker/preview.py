"""Training images before and after their random changes, done by the very code that trains."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError

from workbench import catalog
from workbench.data.dataset import masked, rows_of, taken
from workbench.data.prepared import open_arrays
from workbench.engine.augment import Augment
from workbench.specs.base import problems_of
from workbench.specs.data import DataSpec
from workbench.specs.errors import SpecError
from workbench.store import Store

MOST = 64  # images a preview


def augmented(store: Store, payload: Mapping[str, Any]) -> dict[str, Any]:
    """payload: data (a DataSpec as JSON), n images, seed, step; version of the set, None for the newest.

    The answer: before and after as PNGs in base64 (n each), labels as text (n), seconds the changes took; of
    segmentation also before_masks and after_masks, grey PNGs of class numbers.
    Images are the first of the training split, one of each class in turn. Raises SpecError, DataError.
    """
    tree = dict(payload["data"])
    try:
        spec = DataSpec.model_validate(tree)
    except ValidationError as error:
        raise SpecError(*problems_of(error, tree)) from None
    n, seed, step = (int(payload.get(key, usual)) for key, usual in (("n", 16), ("seed", 0), ("step", 0)))
    if not 1 <= n <= MOST or seed < 0 or step < 0:
        raise SpecError.of("preview", f"it shows 1 to {MOST} images", f"{n=}, {seed=}, {step=}")
    row = catalog.with_shipped(store, spec.name, payload.get("version"))
    arrays = open_arrays(row.path)
    train = rows_of(row.path, spec).train
    order = catalog.in_turn(arrays.labels[train])
    part = masked(row.path, row.schema, taken(arrays, train[order[:n]], row.schema.shape_for(spec)))
    x = torch.from_numpy(part.x).to(torch.float32).div_(255.0)  # (n, C, H, W)
    began = time.perf_counter()
    changes = Augment(spec.augment, len(row.schema.classes), seed)
    if changes.mixes and (part.masks is not None or not row.schema.classes):
        fact = "these have masks" if part.masks is not None else "these have none"
        raise SpecError.of(
            "data.augment", "mixup and cutmix blend the labels of whole images", fact, "Take them away."
        )
    answer = part.y if part.masks is None else part.masks.astype(np.int64)
    new, y = changes(x, torch.from_numpy(answer), step)
    took = time.perf_counter() - began
    pixels = new.mul(255.0).round_().clamp_(0, 255).to(torch.uint8).numpy()
    masks = {}
    if part.masks is not None:
        after = y.numpy().astype(np.uint8)
        masks = {
            name: [_png(m[None]) for m in some]
            for name, some in (("before_masks", part.masks), ("after_masks", after))
        }
        y = torch.from_numpy(part.y)
    return {
        **masks,
        "before": [_png(image) for image in part.x],
        "after": [_png(image) for image in pixels],
        "labels": [_words(label, row.schema.classes) if row.schema.classes else "" for label in y.numpy()],
        "seconds": took,
    }


def _png(image: np.ndarray) -> str:
    """(C, H, W) uint8 as a PNG in base64."""
    out = io.BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode("ascii")


def _words(label: np.ndarray, classes: tuple[str, ...]) -> str:
    """A class, or the shares of a blend: `70 % cat, 30 % dog`."""
    if label.ndim == 0:
        return classes[int(label)]
    shares = [(float(share), classes[k]) for k, share in enumerate(label) if share > 0.005]
    shares.sort(key=lambda pair: -pair[0])
    return shares[0][1] if len(shares) == 1 else ", ".join(f"{share:.0%} {name}" for share, name in shares)
