"""Fine-tuning in tests: a run's spec on a checkpoint's folder, sentences as data, and the loop itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.engine.texts import Part, ends
from tests.engine.tiny import Seen, spec_of
from tests.models import encoders
from workbench.data.text.pretrained import of_model
from workbench.data.text.tokenizer import Tokenizer
from workbench.engine import fit as loop
from workbench.engine.checkpoint import Checkpoint
from workbench.engine.trainer import Trainer
from workbench.models.build import build
from workbench.specs.base import Tokens
from workbench.specs.data import TextSpec
from workbench.specs.run import RunSpec
from workbench.tasks.choose import task_for

TEXTS = [*encoders.SENTENCES[:3], "never seen zzz words", "film"]


def shape_of(folder: Path, length: int = 32) -> Tokens:
    return Tokens(length, tokenizer_of(folder, length).size)


def tokenizer_of(folder: Path, length: int = 32) -> Tokenizer:
    return of_model(TextSpec(tokenizer="pretrained", source=str(folder), length=length))


def spec_for(folder: Path, *, training: Any = None, **layer: Any) -> RunSpec:
    whole = {"kind": "pretrained_text", "source": str(folder), "num_labels": 3, **layer}
    return spec_of([whole], **(training or {}))


def built(folder: Path, seed: int = 0, **layer: Any) -> nn.Module:
    return build(spec_for(folder, **layer).model, shape_of(folder), seed=seed)


def padded(texts: list[list[int]], pad: int = 0) -> Tensor:
    width = max(map(len, texts))
    return torch.tensor([[*ids, *[pad] * (width - len(ids))] for ids in texts])


def of_the_library(folder: Path, **more: Any) -> nn.Module:
    from transformers import AutoModelForSequenceClassification

    kind: Any = AutoModelForSequenceClassification
    return kind.from_pretrained(folder, use_safetensors=True, local_files_only=True, **more).eval()


@dataclass(frozen=True)
class Sentences(Part):
    words: tuple[str, ...] = ()

    def text(self, row: int) -> str:
        return self.words[row]


@dataclass(frozen=True)
class Data:
    """Sentences with the number of their words modulo 3 as class: what they say does not matter here."""

    train: Part
    validation: Part
    shape: Tokens
    tokenizer: Any
    classes: tuple[str, ...] = ("a", "b", "c")
    kind: str = "text"
    name: str = "sentences"


def data_of(folder: Path) -> Data:
    tokenizer = tokenizer_of(folder)
    texts = [" ".join(s.split()[i:]) for s in encoders.SENTENCES for i in range(6)]
    y = np.array([len(text.split()) % 3 for text in texts])
    part = Sentences(ends(tokenizer.encode_many(texts)), y, words=tuple(texts))
    return Data(part, part, Tokens(32, tokenizer.size), tokenizer)


def trained(spec: RunSpec, folder: Path, resume: Checkpoint | None = None, data: Data | None = None) -> Seen:
    data = data or data_of(folder)
    seen = Seen(model=build(spec.model, data.shape, seed=spec.seed))
    task = task_for(spec.task, len(data.classes), data.train.y)
    for flush in loop.fit(seen.model, data, task, spec, resume=resume):
        seen.flushes.append(flush)
    return seen


def half_of(spec: RunSpec, folder: Path) -> Checkpoint:
    """The state after 5 steps of the very same run."""
    data = data_of(folder)
    task = task_for(spec.task, 3, data.train.y)
    trainer = Trainer(build(spec.model, data.shape, seed=spec.seed), data, task, spec)
    while trainer.step < 5:
        for rows, size in trainer.rest_of_epoch():
            trainer.advance(rows, size)
            if trainer.step == 5:
                break
    return trainer.capture(metrics={})
