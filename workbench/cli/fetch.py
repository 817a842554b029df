"""`workbench fetch`: a pretrained model from the Hugging Face hub, for runs to find without a network."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.terminal import Json, note, print_json


def fetch(
    model: Annotated[
        str,
        typer.Argument(metavar="OWNER/NAME", help="A text encoder or image classifier on huggingface.co."),
    ],
    as_json: Json = False,
) -> None:
    """Fetch a pretrained text encoder or image classifier to fine-tune, and say what it is."""
    from workbench.data.models_hub import fetch as fetched
    from workbench.specs.checkpoint_folder import numel
    from workbench.specs.image_folder import ImageCheckpoint, any_model

    folder = fetched(model, progress=note)
    found = any_model(model)
    facts = {
        "model": model, "folder": str(folder), "kind": found.kind, "layers": found.layers,
        "parameters": numel(found.base), "labels": found.labels,
    }  # fmt: skip
    if isinstance(found, ImageCheckpoint):
        facts |= {"channels": found.channels, "side": found.side, "mean": found.mean, "std": found.std}
    else:
        facts |= {"hidden": found.hidden, "vocabulary": found.vocabulary, "longest": found.longest}
    if as_json:
        print_json(facts)
        return
    if isinstance(found, ImageCheckpoint):
        print(f"{model}: {found.kind}, {found.layers} layers, {numel(found.base):,} parameters")
        print(f"images of {found.channels}×{found.side}×{found.side}; {folder}")
        return
    print(f"{model}: {found.kind}, {found.layers} layers of {found.hidden}, {numel(found.base):,} parameters")
    print(f"vocabulary {found.vocabulary:,}, texts of up to {found.longest:,} tokens; {folder}")
