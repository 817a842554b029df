"""Named runs whose answer is an image: complete, ready to run, each on data that ships with the product."""

from __future__ import annotations

from typing import Any

from workbench.specs.picture_starts import autoencoder, discriminator, generator, unet

Raw = dict[str, Any]
GREY = (1, 28, 28)  # of the sample of Fashion-MNIST
SHAPES = 4  # classes of the pixels of the shipped shapes

PICTURE_PRESETS: list[tuple[str, str, str, Raw]] = [
    (
        "unet-small",
        "U-Net that marks every pixel",
        "A class for every pixel, here of circles, squares and triangles: down three steps, up again, and "
        "what was seen on the way down led across.",
        {
            "data": {
                "name": "shapes",
                "augment": [{"kind": "flip"}, {"kind": "flip", "axis": "vertical"}],
            },
            "model": {"family": "unet", "layers": unet(SHAPES, (12, 24, 48, 96))},
            "task": {"kind": "segmentation"},
            "training": {
                "optimizer": {"kind": "adamw", "lr": 3e-3},
                "schedule": {"kind": "one_cycle"},
                "batch_size": 16,
                "epochs": 25,
            },
        },
    ),
    (
        "autoencoder",
        "Autoencoder with a narrow place",
        "Squeezes every picture into 16 numbers and paints it anew from them; labels are not needed.",
        {
            "data": {"normalize": "unit"},
            "model": {"family": "autoencoder", "layers": autoencoder(GREY)},
            "task": {"kind": "reconstruction"},
            "training": {
                "optimizer": {"kind": "adam", "lr": 1e-3},
                "schedule": {"kind": "cosine"},
                "batch_size": 128,
                "epochs": 12,
            },
        },
    ),
    (
        "vae",
        "Variational autoencoder",
        "An autoencoder whose codes are drawn from bell curves: new pictures can be painted from noise.",
        {
            "data": {"normalize": "unit"},
            "model": {"family": "autoencoder", "layers": autoencoder(GREY, draws=True)},
            "task": {"kind": "reconstruction", "loss": "bce"},
            "training": {
                "optimizer": {"kind": "adam", "lr": 1e-3},
                "schedule": {"kind": "cosine"},
                "batch_size": 128,
                "epochs": 12,
            },
        },
    ),
    (
        "dcgan",
        "DCGAN: pictures out of noise",
        "Two networks against each other: one paints clothes out of noise, the other tells them apart.",
        {
            "data": {"normalize": "symmetric"},
            "model": {"family": "gan", "layers": generator(GREY), "decoder": discriminator(GREY)},
            "task": {"kind": "generation"},
            "training": {
                "optimizer": {"kind": "adam", "lr": 2e-4, "beta1": 0.5},
                "batch_size": 64,
                "epochs": 20,
            },
        },
    ),
]
