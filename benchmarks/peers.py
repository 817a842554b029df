"""The same work in other trainers, for `benchmarks.throughput`; each says so when it is not installed.

Every function builds a trainer of `work` and returns a callable that trains it once over `epochs`
epochs, validating after each, and gives back the seconds this took. Notation: x (N, C, H, W) float32.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Work:
    """What all of them do: Adam at 1e-3 on these tensors, in this batch size."""

    build: Callable[[], nn.Module]
    x: torch.Tensor
    y: torch.Tensor
    x_val: torch.Tensor
    y_val: torch.Tensor
    batch: int
    epochs: int

    @property
    def samples(self) -> int:
        return len(self.y) * self.epochs


def bare(work: Work, validate: bool = True, **options: Any) -> float:
    """A plain PyTorch loop over tensors in memory, as the tutorials write it, keeping nothing."""
    model, lossf = work.build().train(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **options)
    began = perf_counter()
    for _ in range(work.epochs):
        for rows in torch.randperm(len(work.y)).split(work.batch):
            optimizer.zero_grad()
            loss = lossf(model(work.x[rows]), work.y[rows])
            loss.backward()
            optimizer.step()
        if validate:
            model.eval()
            with torch.inference_mode():
                parts = zip(work.x_val.split(128), work.y_val.split(128), strict=True)
                scores = [(model(x), y) for x, y in parts]
                sum((lossf(s, y) * len(y) for s, y in scores), torch.zeros(())).item()
                sum(((s.argmax(1) == y).sum() for s, y in scores), torch.zeros(())).item()
            model.train()
    return perf_counter() - began


def lightning(work: Work) -> float | None:
    """Lightning's Trainer with its defaults but no progress bar, checkpoint or summary; None if absent."""
    name = next((n for n in ("lightning", "pytorch_lightning") if importlib.util.find_spec(n)), None)
    if name is None:
        return None
    pl: Any = importlib.import_module(f"{name}.pytorch" if name == "lightning" else name)
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    class Classifier(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.lossf = work.build(), nn.CrossEntropyLoss()

        def training_step(self, batch: Any, index: int) -> Any:
            x, y = batch
            scores = self.net(x)
            loss = self.lossf(scores, y)
            self.log("train/loss", loss)
            self.log("train/accuracy", (scores.argmax(1) == y).float().mean())
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            x, y = batch
            scores = self.net(x)
            self.log("val/loss", self.lossf(scores, y))
            self.log("val/accuracy", (scores.argmax(1) == y).float().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    train = DataLoader(TensorDataset(work.x, work.y), batch_size=work.batch, shuffle=True)
    held = DataLoader(TensorDataset(work.x_val, work.y_val), batch_size=128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            max_epochs=work.epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        module = Classifier()
        began = perf_counter()
        trainer.fit(module, train, held)
        return perf_counter() - began


def keras(work: Work) -> float | None:
    """Keras on its torch backend, model.fit with its defaults but no progress bar; None if absent."""
    if not importlib.util.find_spec("keras"):
        return None
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras as k

    k.config.set_image_data_format("channels_first")
    layers = [k.Input(work.x.shape[1:])]
    for module in work.build():  # type: ignore[attr-defined]
        match module:
            case nn.Conv2d():
                layers.append(k.layers.Conv2D(module.out_channels, module.kernel_size))
            case nn.MaxPool2d():
                layers.append(k.layers.MaxPooling2D(2))
            case nn.ReLU():
                layers.append(k.layers.ReLU())
            case nn.Flatten():
                layers.append(k.layers.Flatten())
            case nn.Linear():
                layers.append(k.layers.Dense(module.out_features))
    model = k.Sequential(layers)
    loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(k.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    arrays = [t.numpy() for t in (work.x, work.y, work.x_val, work.y_val)]
    began = perf_counter()
    model.fit(
        arrays[0],
        arrays[1],
        batch_size=work.batch,
        epochs=work.epochs,
        validation_data=(arrays[2], arrays[3]),
        verbose=0,
    )
    return perf_counter() - began
