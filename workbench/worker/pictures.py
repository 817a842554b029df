"""What a trained model gives whose answer is an image: a mask, the picture once more, or a new picture.

Answers are JSON-ready; pictures in them are PNGs in base64. A mask is a grey PNG of class numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from workbench.engine.batches import normalised
from workbench.engine.evaluate import evaluating
from workbench.probes.pictures import after, drawn_at, shown
from workbench.specs.errors import DataError, RunError
from workbench.worker.predict import png, readable
from workbench.worker.trained import Trained

MOST_SAMPLES = 256
BATCH = 32
CANVAS = 4096  # pixels of a side of what is given back


def picture_answers(trained: Trained, payload: Mapping[str, Any], files: Sequence[tuple[str, bytes]]) -> Any:
    """One answer per file, or per new picture where there is nothing to be shown to the model.

    Segmentation: input, shares (class → share of the pixels), image, mask, size [width, height] of the file.
    Reconstruction: input, image, made, mse of pixels from 0 to 1. Generation: input ("noise 1"), made.
    Raises DataError for files that cannot be read, RunError where files are lacking or not wanted.
    """
    task = trained.row.spec.task
    if task.kind == "generation" or (task.kind == "reconstruction" and not files):
        if files:
            raise RunError.of(
                f"run `{trained.row.name}`", "a generator makes pictures of noise", "a picture was given",
                "Ask for samples, without a picture.",
            )  # fmt: skip
        asked = payload.get("asked", {})
        return new_pictures(trained, int(asked.get("samples") or 16), int(asked.get("seed") or 0))
    if not files:
        raise DataError.of("INPUT", "a picture must be given", "there is none", "Name one.")
    pixels, repairs, sizes = readable(trained, files)
    rows = []
    with evaluating(trained.model):
        for start in range(0, len(pixels), BATCH):
            x = normalised(pixels[start : start + BATCH], trained.data.mean, trained.data.std)
            rows.append(trained.model(x))
        out = torch.cat(rows)
    masked = task.kind == "segmentation"
    found = _masks(trained, out) if masked else _reconstructions(trained, out, pixels)
    return [
        {"input": name, "image": png(image), "size": list(size), "repairs": list(repaired), **answer}
        for (name, _), image, size, repaired, answer in zip(files, pixels, sizes, repairs, found, strict=True)
    ]


def new_pictures(trained: Trained, n: int, seed: int) -> list[dict[str, Any]]:
    """n pictures out of noise; the same seed gives the same. Raises RunError where the model makes none."""
    if not 1 <= n <= MOST_SAMPLES:
        raise RunError.of("samples", f"1 to {MOST_SAMPLES} pictures are made at a time", f"{n} are asked for")
    model: Any = trained.model
    generator = torch.Generator().manual_seed(seed)
    mean, std = np.asarray(trained.data.mean), np.asarray(trained.data.std)
    with evaluating(model):
        if trained.row.spec.task.kind == "generation":
            noise = torch.randn((n, trained.row.spec.task.latent), generator=generator)
            out = model.generator(noise)
        else:
            place = drawn_at(model)
            if place is None:
                raise RunError.of(
                    f"run `{trained.row.name}`", "new pictures are made by a model that draws its codes",
                    "this one has no reparameterize layer", "Show it a picture.",
                )  # fmt: skip
            code = list(model.children())[: place + 1]
            size = torch.nn.Sequential(*code)(torch.zeros(1, *trained.data.shape)).shape[1:]
            out = after(model, place, torch.randn((n, *size), generator=generator))
    return [{"input": f"noise {i + 1}", "made": _picture(one)} for i, one in enumerate(shown(out, mean, std))]


def _masks(trained: Trained, scores: torch.Tensor) -> list[dict[str, Any]]:
    told = scores.argmax(dim=1).to(torch.uint8).numpy()
    classes = trained.data.classes
    found = []
    for mask in told:
        counts = np.bincount(mask.reshape(-1), minlength=len(classes)) / mask.size
        found.append(
            {
                "shares": {name: float(share) for name, share in zip(classes, counts, strict=True)},
                "mask": png(mask[None]),
            }
        )
    return found


def _reconstructions(trained: Trained, out: torch.Tensor, pixels: np.ndarray) -> list[dict[str, Any]]:
    made = shown(out, np.asarray(trained.data.mean), np.asarray(trained.data.std))
    scale, shift = (
        torch.from_numpy(np.asarray(v)).float().view(1, -1, 1, 1)
        for v in (trained.data.std, trained.data.mean)
    )
    off = (out.float() * scale + shift) - torch.from_numpy(pixels).float() / 255.0
    errors = off.square().flatten(1).mean(dim=1)
    return [{"made": _picture(one), "mse": float(error)} for one, error in zip(made, errors, strict=True)]


def _picture(image: np.ndarray) -> str:
    """(h, w) or (h, w, 3) uint8 as a PNG in base64."""
    return png(image[None] if image.ndim == 2 else np.ascontiguousarray(image.transpose(2, 0, 1)))
