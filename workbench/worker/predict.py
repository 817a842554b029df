"""What a trained model says to pictures: any format and mode, shaped as the run's own data was."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from workbench.data.limits import Limits
from workbench.data.pictures import Unusable, decode, to_array
from workbench.engine.evaluate import predict as probabilities_of
from workbench.specs.errors import DataError, Problem
from workbench.worker.trained import Trained


@dataclass(frozen=True)
class Answer:
    """probabilities: class → share, most likely first; pixels (C, H, W) uint8: what the model saw."""

    input: str
    prediction: str
    probabilities: dict[str, float]
    pixels: np.ndarray
    repairs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The contract of `predict --json`, with the picture the model saw as a PNG in base64."""
        return {
            "input": self.input,
            "prediction": self.prediction,
            "probabilities": self.probabilities,
            "image": png(self.pixels),
            "repairs": list(self.repairs),
        }


def predict(trained: Trained, files: Sequence[tuple[str, bytes]]) -> list[Answer]:
    """One answer per (name, content of an image file). Raises DataError naming every unusable file."""
    pixels, repairs, _ = readable(trained, files)
    return [
        _answer(trained, name, shares, image, repaired)
        for (name, _), shares, image, repaired in zip(
            files, _ask(trained, pixels), pixels, repairs, strict=True
        )
    ]


def readable(
    trained: Trained, files: Sequence[tuple[str, bytes]]
) -> tuple[np.ndarray, list[tuple[str, ...]], list[tuple[int, int]]]:
    """Pictures as the model sees them (n, C, H, W) uint8, what was repaired of each, and (width, height) of
    each as it came. Raises DataError naming every unusable file."""
    channels, height, width = trained.data.shape
    pixels = np.empty((len(files), channels, height, width), np.uint8)
    repairs: list[tuple[str, ...]] = []
    sizes: list[tuple[int, int]] = []
    bad = []
    for i, (name, blob) in enumerate(files):
        try:
            picture = decode(blob, Limits(), PurePath(name).suffix.lower(), (height, width))
            pixels[i] = to_array(picture.image, height, width, channels)
            repairs.append(picture.repairs)
            sizes.append(picture.size)
        except Unusable as error:
            bad.append(
                Problem(
                    where=name, rule="a picture must be readable", fact=str(error), repair="Leave it out."
                )
            )
    if bad:
        raise DataError(*bad)
    return pixels, repairs, sizes


def _ask(trained: Trained, pixels: np.ndarray) -> np.ndarray:
    if not len(pixels):
        return np.zeros((0, len(trained.data.classes)), np.float32)
    return probabilities_of(trained.model, pixels, trained.data.mean, trained.data.std, trained.task)


def _answer(
    trained: Trained, name: str, shares: np.ndarray, image: np.ndarray, repairs: tuple[str, ...]
) -> Answer:
    order = np.argsort(-shares, kind="stable")
    classes = trained.data.classes
    return Answer(name, classes[order[0]], {classes[k]: float(shares[k]) for k in order}, image, repairs)


def png(pixels: np.ndarray) -> str:
    """(C, H, W) uint8 as a PNG in base64."""
    image = Image.fromarray(
        pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    )
    out = io.BytesIO()
    image.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()
