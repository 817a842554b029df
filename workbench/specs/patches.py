"""Images as sequences: cut into square patches, each of which becomes a step (Dosovitskiy et al. 2021)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from workbench.specs.base import Shape, knob
from workbench.specs.errors import Fix
from workbench.specs.layer import (
    LARGEST_PATCH,
    Layer,
    Sight,
    need_image,
    patch_that_fits,
    preceded,
    refuse,
    set_to,
)


class PatchEmbedding(Layer):
    """Cuts an image into square patches; each becomes a step, by one learned map for all of them."""

    group: ClassVar[str] = "attention"
    kind: Literal["patch_embedding"] = "patch_embedding"
    patch_size: int = knob(
        4, "Side of a patch; it must divide both sides of the image", unit="pixels", ge=1, le=LARGEST_PATCH
    )
    embed_dim: int = knob(64, "Numbers per patch: the width of the layers behind it", ge=1, le=16_384)
    bias: bool = knob(True, "Add one learned number per feature", advanced=True)

    def grid(self, shape: Shape) -> tuple[int, int]:
        """Rows and columns of patches in an image (C, H, W)."""
        return shape[1] // self.patch_size, shape[2] // self.patch_size

    def out_shape(self, shape: Shape) -> Shape:
        _, height, width = need_image(self.kind, shape)
        if height % self.patch_size or width % self.patch_size:
            fix = self._repair(height, width)
            raise refuse(
                "patch_size must divide the image's sides",
                f"patches of {self.patch_size} and {height}×{width} pixels", f"{fix.label}.", fix,
            )  # fmt: skip
        rows, columns = self.grid(shape)
        return (rows * columns, self.embed_dim)

    def n_params(self, shape: Shape) -> int:
        weights = shape[0] * self.patch_size**2 * self.embed_dim
        return weights + (self.embed_dim if self.bias else 0)

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape) * math.prod(self.grid(shape))

    def sight(self, before: Sight, shape: Shape) -> Sight:
        return before.through(self.patch_size, self.patch_size)

    def _repair(self, height: int, width: int) -> Fix:
        """The nearest size that divides the sides; where there is none near it, an image that it divides."""
        near = patch_that_fits(height, width, self.patch_size)
        if near is not None:
            return set_to(patch_size=near)
        side = max(1, min(height, width) // self.patch_size) * self.patch_size
        side = side if side <= 64 else 64 // self.patch_size * self.patch_size  # the limit of output_size
        if side == 0:
            return set_to(patch_size=1)
        pool = {"kind": "adaptive_avg_pool2d", "output_size": side}
        return preceded(f"Bring the image to {side}×{side} before it", pool)
